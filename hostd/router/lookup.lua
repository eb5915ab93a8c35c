-- What a request's host goes to. Python decided (table.py); here it is only looked up and decoded.
local certificate = require "certificate"
local cjson = require "cjson.safe"
local errors = require "errors"
local password = require "password"
local share_of = require "share"
local start = require "start"
local wake = require "wake"

local routes = ngx.shared.routes
local var = ngx.var

local CACHE_LIMIT = 20000
local slots  -- one per worker: whose requests are counted apart, see start.lua

local _M = {}

-- A function of a string, remembered per worker; all is forgotten when CACHE_LIMIT strings were seen.
local function remembered(make)
    local cache, size = {}, 0
    return function(key)
        local value = cache[key]
        if value == nil then
            if size >= CACHE_LIMIT then
                cache, size = {}, 0
            end
            value = make(key)
            cache[key], size = value, size + 1
        end
        return value
    end
end

local function endpoint(name)
    slots = slots or ngx.worker.count()
    local address, port = name:match("^(.*):(%d+)$")
    local counters = {}
    for slot = 0, slots - 1 do
        counters[slot + 1] = slot .. "|" .. name
    end
    return {
        name = name,
        address = address,
        port = tonumber(port),
        counter = ngx.worker.id() .. "|" .. name,
        counters = counters,
    }
end

local function prepare(entry)
    entry.label = entry.app .. "\t" .. (entry.environment or "") .. "\t" .. entry.release
    for index, name in ipairs(entry.endpoints or {}) do
        entry.endpoints[index] = endpoint(name)
    end
end

local decode = remembered(function(json)
    local entry = cjson.decode(json)
    prepare(entry)
    local share = entry.share
    if share then
        share.app, share.environment = entry.app, entry.environment
        prepare(share)
    end
    return entry
end)

-- RFC 9110 section 7.2 and RFC 3986 section 3.2.2, without userinfo and address literals in brackets.
local name_of = remembered(function(field)
    local name, port = field:lower():match("^([a-z0-9_.-]+):?(%d*)$")
    if not name or (field:find(":", 1, true) and port == "") or (tonumber(port) or 1) > 65535 then
        return false
    end
    name = name:gsub("%.$", "")
    return #name > 0 and #name <= 253 and name
end)

-- The entry for `host` and the name it stands under; nil if there is none. A host without one may be below a wildcard.
-- A domain's entry names the host that it is another name of. Third comes the entry of `host` itself.
local function find(host)
    local json = routes:get(host) or routes:get((host:gsub("^[^.]*", "*", 1)))
    local entry = json and decode(json)
    local own = entry
    if entry and entry.kind == "host" then
        host = entry.host
        json = routes:get(host)
        entry = json and decode(json)
    end
    return entry, host, own
end

-- What `own` says about TLS: ends a plain request if it is to come again over HTTPS.
local function tls(own, host)
    if var.scheme == "https" then
        if own.hsts then
            ngx.header["Strict-Transport-Security"] = "max-age=" .. own.hsts
        end
    elseif own.https and start.https_suffix and certificate.find(host) then
        local uri = var.request_uri
        if uri:byte(1) ~= 47 then  -- the absolute form
            uri = var.uri .. var.is_args .. (var.args or "")
        end
        return ngx.redirect("https://" .. host .. start.https_suffix .. uri, 308)
    end
end

-- The entry for the request's host, or nil.
function _M.entry()
    local host = var.host
    return host and (find(host)) or nil
end

-- The same for a request that was passed on to the endpoint of this name: it may have followed the entry's share.
function _M.entry_with(name)
    local entry = _M.entry()
    local share = entry and entry.share
    for _, endpoint in ipairs(share and share.endpoints or {}) do
        if endpoint.name == name then
            return share
        end
    end
    return entry
end

local function send_file(entry)
    local method = ngx.req.get_method()
    if method ~= "GET" and method ~= "HEAD" then
        ngx.header["Allow"] = "GET, HEAD"
        return errors.send("405")
    end
    local uri = var.uri
    local dotfile = uri:find("/.", 1, true)
    if dotfile and (dotfile > 1 or uri:sub(1, 13) ~= "/.well-known/" or uri:find("/.", 3, true)) then
        return errors.send("404")
    end
    if uri:byte(-1) == 47 then
        ngx.req.set_uri(uri .. "index.html")
    end
    var.site = entry.path
    return ngx.exec(entry.single_page and "@single_page" or "@directory")
end

-- access phase: returns to let nginx pass the request on to the Instance that balancer.lua picks.
function _M.access()
    local field = var.http_host
    local host = field and name_of(field)
    -- nginx takes the host of an absolute URI before that of the field: they have to agree.
    if not host or host ~= var.host then
        return errors.send("H26")
    end
    local entry, own
    entry, host, own = find(host)
    if not entry then
        return errors.send("H81")
    end
    if own.https or own.hsts then
        tls(own, var.host)
    end
    if entry.noindex then
        ngx.header["X-Robots-Tag"] = "noindex, nofollow"
    end
    if entry.salt and not password.known(entry) then
        return errors.send("401")
    end
    if entry.asleep then
        wake(host)
        entry = find(host)
        if not entry or (entry.asleep and not entry.endpoints[1]) then
            return errors.send("H99")
        end
    end
    local kind = entry.kind
    if kind == "instances" then
        if entry.share then
            entry = share_of(entry)
        end
        ngx.ctx.entry = entry
        return
    elseif kind == "directory" then
        return send_file(entry)
    elseif kind == "hostd" then
        return ngx.exec("@hostd")
    end
    return errors.send(entry.code)
end

return _M
