-- One line per request, sent to hostd in datagrams. Never waits: what hostd cannot take stays in a bounded queue.
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
local QUEUE_LIMIT = 20000  -- lines
local SOON, LATER = 0.01, 0.25  -- seconds: between datagrams, and when hostd did not take one

local _M = {}

local socket, address
local queue, first, last = {}, 1, 0
local dropped = 0
local armed = false

local function datagram()
    local size, upto = 0, first - 1
    while upto < last and size + #queue[upto + 1] <= DATAGRAM_BYTES do
        upto = upto + 1
        size = size + #queue[upto]
    end
    return table.concat(queue, "", first, upto), upto
end

-- Send what there is. Returns whether all of it was taken.
function _M.flush()
    if not socket then
        socket = C.socket(AF_UNIX, SOCK_DGRAM + SOCK_CLOEXEC, 0)
        address = ffi.new("hostd_address", AF_UNIX, require("start").directory .. "/requests.sock")
    end
    while first <= last do
        local data, upto = datagram()
        if C.sendto(socket, data, #data, MSG_DONTWAIT, address, ffi.sizeof(address)) < 0 then
            return false
        end
        for index = first, upto do
            queue[index] = nil
        end
        first = upto + 1
    end
    if dropped > 0 then
        ngx.log(ngx.WARN, "records of requests lost: L10 dropped=", dropped)
        dropped = 0
    end
    return true
end

local function on_timer(premature)
    armed = false
    if not _M.flush() and not premature then
        armed = ngx.timer.at(LATER, on_timer)
    end
end

local function add(line)
    if last - first >= QUEUE_LIMIT then
        queue[first] = nil
        first = first + 1
        dropped = dropped + 1
    end
    last = last + 1
    queue[last] = line
    if not armed then
        armed = ngx.timer.at(SOON, on_timer)
    end
end

-- log phase: code, App, Environment and Release, then what nginx has written down in $record. Tabs part the fields: nginx lets
-- none through in a request line.
function _M.log()
    local ctx = ngx.ctx
    balancer.done(ctx)
    local entry = ctx.entry or lookup.entry()
    local code = ctx.code or pauses.code(ctx) or ""
    add(code .. "\t" .. (entry and entry.label or "\t\t") .. "\t" .. ngx.var.record)
end

return _M
