-- Which Instance gets the request: the one with the fewest under way. Counts are shared by all workers.
local balancer = require "ngx.balancer"
local pauses = require "pauses"

local in_flight = ngx.shared.in_flight
local refused = ngx.shared.refused
local var = ngx.var

local AVOID_SECONDS = 5  -- an endpoint that refused a connection comes last for so long

local _M = {}

local turn = 0

local function load_of(endpoint)
    local sum = refused:get(endpoint.name) and 1000000 or 0
    local counters = endpoint.counters
    for index = 1, #counters do
        sum = sum + (in_flight:get(counters[index]) or 0)
    end
    return sum
end

local function least_loaded(endpoints)
    local count = #endpoints
    if count < 2 then
        return endpoints[1]
    end
    turn = turn + 1
    local best, least
    for offset = 1, count do
        local endpoint = endpoints[(turn + offset) % count + 1]
        local load = load_of(endpoint)
        if not best or load < least then
            best, least = endpoint, load
        end
    end
    return best
end

-- After a failed try: the entry to choose from again, or nil if a byte of the request may have arrived. The
-- route is looked up anew: it may have left the endpoint in the meantime.
local function entry_for_second_try(failed)
    if not var.upstream_bytes_sent:find("^0%f[^0-9]") then
        return nil
    end
    refused:set(failed.name, true, AVOID_SECONDS)
    local entry = require("lookup").entry()
    if not entry or entry.kind ~= "instances" then
        return nil
    end
    in_flight:incr(failed.counter, -1)
    var.endpoint = ""
    return entry
end

function _M.choose()
    local ctx = ngx.ctx
    local entry = ctx.entry
    if ctx.endpoint then
        entry = entry_for_second_try(ctx.endpoint)
        if not entry then
            return ngx.exit(ngx.ERROR)
        end
    else
        balancer.set_more_tries(1)
    end
    local endpoint = least_loaded(entry.endpoints)
    ctx.entry, ctx.endpoint = entry, endpoint
    var.endpoint = endpoint.name
    in_flight:incr(endpoint.counter, 1, 0)
    balancer.set_timeouts(pauses.connect_seconds, entry.idle, pauses.first_byte(entry))
    balancer.set_current_peer(endpoint.address, endpoint.port)
end

-- log phase: a request is over.
function _M.done(ctx)
    if ctx.endpoint then
        in_flight:incr(ctx.endpoint.counter, -1)
        return
    end
    local name = var.endpoint  -- on the way to an error page ngx.ctx was lost
    if name and name ~= "" then
        in_flight:incr(ngx.worker.id() .. "|" .. name, -1)
    end
end

return _M
