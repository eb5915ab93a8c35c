-- One line per request, sent to hostd in datagrams. Never waits: what hostd cannot take stays in a bounded queue.
local buffer = require "string.buffer"
local ffi = require "ffi"
local balancer = require "balancer"
local lookup = require "lookup"
local pauses = require "pauses"

local C = ffi.C

ffi.cdef [[
typedef struct { unsigned short family; char path[108]; } hostd_address;
int socket(int domain, int type, int protocol);
long sendto(int fd, const char *data, size_t size, int flags, const hostd_address *to, unsigned int length);
]]
local AF_UNIX, SOCK_DGRAM, SOCK_CLOEXEC, MSG_DONTWAIT = 1, 2, 524288, 64
local DATAGRAM_BYTES = 32768
local QUEUE_LIMIT = 128  -- datagrams
local SOON, LATER = 0.05, 0.25  -- seconds: between datagrams, and when hostd did not take one

local _M = {}

local socket, address
local pending, lines = buffer.new(2 * DATAGRAM_BYTES), 0
local queue, first, last = {}, 1, 0
local armed = false

local function close_datagram()
    if lines == 0 then
        return
    end
    if last - first >= QUEUE_LIMIT then
        ngx.log(ngx.WARN, "records of requests lost: L10 dropped=", queue[first].lines)
        queue[first] = nil
        first = first + 1
    end
    last = last + 1
    queue[last] = { data = pending:get(), lines = lines }
    lines = 0
end

-- Send what there is. Returns whether all of it was taken.
function _M.flush()
    if not socket then
        socket = C.socket(AF_UNIX, SOCK_DGRAM + SOCK_CLOEXEC, 0)
        address = ffi.new("hostd_address", AF_UNIX, require("start").directory .. "/requests.sock")
    end
    close_datagram()
    while first <= last do
        local data = queue[first].data
        if C.sendto(socket, data, #data, MSG_DONTWAIT, address, ffi.sizeof(address)) < 0 then
            return false
        end
        queue[first] = nil
        first = first + 1
    end
    return true
end

local function on_timer(premature)
    armed = false
    if not _M.flush() and not premature then
        armed = ngx.timer.at(LATER, on_timer)
    end
end

-- log phase: code, App, Environment and Release, then what nginx has written down in $record. Tabs part the fields:
-- nginx lets none through in a request line.
function _M.log()
    local ctx = ngx.ctx
    balancer.done(ctx)
    local entry = ctx.entry or lookup.entry_with(ngx.var.endpoint)  -- lost on the way to an error page
    local label = entry and entry.label or "\t\t"
    pending:put(ctx.code or pauses.code(ctx) or "", "\t", label, "\t", ngx.var.record)
    lines = lines + 1
    if #pending >= DATAGRAM_BYTES then
        close_datagram()
    end
    if not armed then
        armed = ngx.timer.at(SOON, on_timer)
    end
end

return _M
