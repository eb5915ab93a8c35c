-- The certificate for a TLS client, by the name it asks for (SNI); an unknown name ends the handshake.
local ssl = require "ngx.ssl"

local certificates = ngx.shared.certificates
local parsed = {}

local CACHE_LIMIT = 20000
local count = 0

local function parse(pems)
    local split = pems:find("\0", 1, true)
    local chain = assert(ssl.parse_pem_cert(pems:sub(1, split - 1)))
    local key = assert(ssl.parse_pem_priv_key(pems:sub(split + 1)))
    return { chain = chain, key = key }
end

local function remembered(pems)
    if not parsed[pems] then
        if count >= CACHE_LIMIT then
            parsed, count = {}, 0
        end
        parsed[pems], count = parse(pems), count + 1
    end
    return parsed[pems]
end

local _M = {}

-- What is kept for `name`, or for the wildcard over it; nil if there is nothing.
function _M.find(name)
    return certificates:get(name) or certificates:get((name:gsub("^[^.]*", "*", 1)))
end

function _M.choose()
    local name = ssl.server_name()
    local pems = name and _M.find(name:lower())
    if not pems then
        return ngx.exit(ngx.ERROR)
    end
    local pair = remembered(pems)
    ssl.clear_certs()
    assert(ssl.set_cert(pair.chain))
    assert(ssl.set_priv_key(pair.key))
end

return _M
