-- Pages for requests that no app answered. Their texts come from pages.py, by code.
local pages = require("start").pages
local var = ngx.var

local _M = {}

-- Answer with the page for `code` and end the request.
function _M.send(code)
    local page = pages[code] or pages.H99
    ngx.status = page.status
    ngx.ctx.code = page.code
    ngx.header["Content-Type"] = "text/html; charset=utf-8"
    ngx.header["Cache-Control"] = "no-store"
    ngx.header["Content-Length"] = #page.html + 32
    ngx.header["X-Hostd-Error"] = page.code
    ngx.header["Retry-After"] = page.retry_after
    ngx.print(page.before, var.request_id, page.after)
    return ngx.exit(200)  -- what was printed stands; ngx.OK would go on to the next phase
end

-- The last of the values that nginx gives for the tries of a request: "0, 212" -> 212.
local function last(values)
    return tonumber((values or ""):match("(%d+)$")) or 0
end

-- Why nginx gave up on an Instance, as a code.
function _M.cause()
    local sent = last(var.upstream_bytes_sent)
    if ngx.status == 504 then
        return sent == 0 and "H19" or "H12"
    elseif var.endpoint == "" then
        return "H99"
    elseif sent == 0 then
        return "H21"
    end
    return last(var.upstream_bytes_received) == 0 and "H13" or "H17"
end

-- For a request that nginx itself refused: too large, too slow or not HTTP.
function _M.refuse()
    local status = ngx.status
    return _M.send(pages[tostring(status)] and tostring(status) or "H26")
end

return _M
