-- What hostd asks the router to do, over a unix socket that only hostd can reach. One path, one verb.
local cjson = require "cjson.safe"

local routes = ngx.shared.routes
local in_flight = ngx.shared.in_flight

local ANSWERED_SECONDS = 3600

local verbs = {}

-- {host: entry as JSON}: from now on every request follows them.
function verbs.publish(entries)
    for host, json in pairs(entries) do
        local ok, problem = routes:safe_set(host, json)
        if not ok then
            return nil, problem
        end
    end
    return {}
end

-- [host]: they answer as unknown.
function verbs.withdraw(hosts)
    for _, host in ipairs(hosts) do
        routes:delete(host)
    end
    return {}
end

function verbs.table()
    local entries = { [""] = "" }
    for _, host in ipairs(routes:get_keys(0)) do
        entries[host] = routes:get(host)
    end
    return entries
end

-- ["address:port"]: how many requests are under way to them, in all workers.
verbs["in-flight"] = function(endpoints)
    local sum = 0
    for _, name in ipairs(endpoints) do
        for slot = 0, ngx.worker.count() - 1 do
            sum = sum + (in_flight:get(slot .. "|" .. name) or 0)
        end
    end
    return { count = sum }
end

-- {host, path, text}: what to answer there, for an hour at most; without a text no longer.
function verbs.answer(answer)
    local key = answer.host .. answer.path
    local ok, problem = ngx.shared.answers:set(key, answer.text, answer.text and ANSWERED_SECONDS)
    return ok and {}, problem
end

-- {host, pems}: chain and key with a NUL between them; without, there is none from now on.
function verbs.certificate(certificate)
    local ok, problem = ngx.shared.certificates:safe_set(certificate.host, certificate.pems)
    return ok and {}, problem
end

local _M = {}

function _M.handle()
    ngx.req.read_body()
    local verb = verbs[ngx.var.uri:sub(2)]
    local request = cjson.decode(ngx.req.get_body_data() or "null")
    if not verb or request == nil then
        return ngx.exit(404)
    end
    local answer, problem = verb(request)
    if not answer then
        ngx.status = 507
        return ngx.print(problem)
    end
    ngx.print(cjson.encode(answer))
end

return _M
