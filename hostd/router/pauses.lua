-- Time limits of an answer. nginx has one limit for the first byte and for later pauses; here they are two, and the
-- log can tell a pause (H15) from an answer that the app (H18) or the client (H27) broke off.
local ffi = require "ffi"
local get_request = require("resty.core.base").get_request

-- The beginnings of nginx's structures as far as the limit lies. They differ between versions: see `adjustable`.
ffi.cdef [[
typedef struct { void *upstream; size_t connect_ms, send_ms, read_ms; } hostd_limits;
typedef struct { char before[344]; hostd_limits *limits; } hostd_upstream;
typedef struct { char before[72]; hostd_upstream *upstream; } hostd_request;
]]
local request_pointer = ffi.typeof("hostd_request *")

local _M = { connect_seconds = 5 }

local adjustable = ngx.config.nginx_version == 1022001 and jit.arch == "x64"

-- What nginx is to wait for the first byte, in seconds. Where it cannot be changed later, the longer of the two.
function _M.first_byte(entry)
    return adjustable and entry.first_byte or math.max(entry.first_byte, entry.idle)
end

-- header_filter phase: from here on the limit for pauses counts. balancer.set_timeouts gave this request its own
-- copy of the limits.
function _M.answered()
    local ctx = ngx.ctx
    local entry = ctx.entry
    if not ctx.endpoint then
        return
    end
    ctx.touched = ngx.now()
    if not adjustable then
        return
    end
    local limits = ffi.cast(request_pointer, get_request()).upstream.limits
    if limits.connect_ms == _M.connect_seconds * 1000 then
        limits.read_ms = entry.idle * 1000
    end
end

-- body_filter phase: a piece of the answer, or the flush with which nginx ends one that did not come to its end.
function _M.touch()
    local ctx = ngx.ctx
    ctx.complete = ngx.arg[2]
    ctx.before = ctx.touched
    ctx.touched = ngx.now()
end

local WITHOUT_BODY = { [101] = true, [204] = true, [304] = true }

-- log phase: the code for a request that did not come to its end, or nil.
function _M.code(ctx)
    if ctx.complete then
        return nil
    elseif ngx.status == 499 then
        return "H27"
    elseif not ctx.touched or WITHOUT_BODY[ngx.status] or ngx.req.get_method() == "HEAD" then
        return nil
    elseif ngx.var.request_completion ~= "OK" then
        return "H27"  -- nginx ends the request at once when the client leaves
    end
    local pause = ctx.touched - (ctx.before or ctx.touched)
    return pause > ctx.entry.idle - 0.01 and "H15" or "H18"
end

return _M
