-- The certificate for a TLS client, by the name it asks for (SNI); an unknown name ends the handshake.
local ssl = require "ngx.ssl"

local certificates = ngx.shared.certificates
local parsed = {}

local function parse(pems)
    local split = pems:find("\0", 1, true)
    local chain = assert(ssl.parse_pem_cert(pems:sub(1, split - 1)))
    local key = assert(ssl.parse_pem_priv_key(pems:sub(split + 1)))
    return { chain = chain, key = key }
end

-- `app.BASE` may be covered by the wildcard that is kept under the name `BASE`.
local function find(name)
    return certificates:get(name) or certificates:get((name:gsub("^[^.]*%.", "")))
end

local _M = {}

function _M.choose()
    local name = ssl.server_name()
    local pems = name and find(name:lower())
    if not pems then
        return ngx.exit(ngx.ERROR)
    end
    parsed[pems] = parsed[pems] or parse(pems)
    ssl.clear_certs()
    assert(ssl.set_cert(parsed[pems].chain))
    assert(ssl.set_priv_key(parsed[pems].key))
end

return _M
