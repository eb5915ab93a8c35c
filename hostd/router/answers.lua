-- Answers that hostd itself gives for a host and a path: proofs that a domain leads here, for hostd
-- and for who issues certificates (RFC 8555 section 8.3). An app sees none of these
-- requests, and every other one.
local answers = ngx.shared.answers
local var = ngx.var

local _M = {}

-- rewrite phase: ends the request if there is an answer to it.
function _M.send()
    local text = answers:get(var.host .. var.uri)
    if text then
        ngx.header["Content-Type"] = "text/plain"
        ngx.header["Content-Length"] = #text
        ngx.header["Cache-Control"] = "no-store"
        ngx.print(text)
        return ngx.exit(200)
    end
end

return _M
