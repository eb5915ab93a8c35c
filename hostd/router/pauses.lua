-- Time limits of an answer. nginx has one limit for the first byte and for later pauses; here they are two, and the
-- log tells an answer that stopped (H15) from one that the app (H18) or the client (H27) broke off.
local ffi = require "ffi"
local get_request = require("resty.core.base").get_request

-- nginx's structures as far as they are needed. They differ between versions: nothing is touched in one that is
-- not known here, and there a request has the longer of the two limits and no such code. A build "with compat" has
-- the layout that all such builds of its version share (nginx needs that for modules that were built elsewhere).
ffi.cdef [[
typedef struct { void *upstream; size_t connect_ms, send_ms, read_ms; } hostd_limits;
typedef struct { char a[344]; hostd_limits *limits; char b[568]; int64_t length; } hostd_upstream;
typedef struct { char a[72]; hostd_upstream *upstream; } hostd_request;
]]
local request_pointer = ffi.typeof("hostd_request *")
local known = ngx.config.nginx_version == 1022001 and ffi.arch == "x64"
    and ngx.config.nginx_configure():find("--with-compat", 1, true) ~= nil

local WITHOUT_BODY = { [101] = true, [204] = true, [304] = true }

local _M = { connect_seconds = 5 }

local function upstream()
    return ffi.cast(request_pointer, get_request()).upstream
end

-- What nginx is to wait for the first byte, in seconds.
function _M.first_byte(entry)
    return known and entry.first_byte or math.max(entry.first_byte, entry.idle)
end

-- header_filter phase: from here on the limit for pauses counts. balancer.set_timeouts gave this request its own
-- copy of the limits.
function _M.answered()
    local ctx = ngx.ctx
    if not ctx.endpoint then
        return
    end
    ctx.answered = ngx.now()
    if known then
        local limits = upstream().limits
        if limits.connect_ms == _M.connect_seconds * 1000 then
            limits.read_ms = ctx.entry.idle * 1000
        end
    end
end

-- log phase: the code for a request that did not come to its end, or nil.
function _M.code(ctx)
    if ngx.status == 499 then
        return "H27"
    elseif not ctx.answered or not known then
        return nil
    end
    -- 0 when all has come from the app; -1 when only the end of the connection says so.
    if upstream().length <= 0 or WITHOUT_BODY[ngx.status] or ngx.req.get_method() == "HEAD" then
        return nil
    elseif ngx.var.request_completion ~= "OK" then
        return "H27"  -- nginx ends a request at once when its client leaves
    end
    return ngx.now() - ctx.answered > ctx.entry.idle - 0.01 and "H15" or "H18"
end

return _M
