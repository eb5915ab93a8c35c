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
    if page.status == 401 then
        ngx.header["WWW-Authenticate"] = 'Basic realm="preview", charset="UTF-8"'
    end
    ngx.print(page.before, var.request_id, page.after)
    return ngx.exit(200)  -- what was printed stands; ngx.OK would go on to the next phase
end

-- Whether one of the numbers that nginx gives for the tries of a request is not 0: "0, 212".
local function any(numbers)
    return numbers ~= nil and numbers:find("[1-9]") ~= nil
end

-- Why nginx gave up on an Instance, as a code.
function _M.cause()
    local sent = any(var.upstream_bytes_sent)
    if not var.upstream_addr then
        return "H99"
    elseif ngx.status == 504 then
        return sent and "H12" or "H19"
    elseif not sent then
        return (var.endpoint or "") ~= "" and "H21" or "H99"  -- no endpoint: it was hostd itself
    end
    return any(var.upstream_bytes_received) and "H17" or "H13"
end

-- For a request that nginx itself refused: too large, too slow or not HTTP.
function _M.refuse()
    local status = ngx.status
    return _M.send(pages[tostring(status)] and tostring(status) or "H26")
end

return _M
