-- Runs in the master before any request: the pages and the table from disk, so that nginx serves without hostd.
local cjson = require "cjson.safe"

local _M = {}

local function read(path)
    local file = io.open(path, "rb")
    local content = file and file:read("*a")
    if file then
        file:close()
    end
    return content
end

local function load_pages(directory)
    _M.pages = cjson.decode(read(directory .. "/pages.json"))
    for code, page in pairs(_M.pages) do
        page.before, page.after = page.html:match("^(.*){request_id}(.*)$")
        page.html = page.before .. page.after
        page.code = code
    end
end

-- The table as tablefile.py wrote it: a line with the boot, then lines of changes, of which later ones win. A line
-- that was cut off was never acknowledged.
local function read_table(directory)
    local boot_id
    local entries = {}
    for line in (read(directory .. "/table.jsonl") or ""):gmatch("[^\n]+") do
        local change = cjson.decode(line) or {}
        if not boot_id then
            boot_id, change = change.boot_id or "", {}
        end
        for host, entry in pairs(change) do
            entries[host] = entry ~= cjson.null and entry or nil
        end
    end
    return entries, boot_id
end

-- After a reboot an address may be another app's, until hostd has published anew. What sleeps has none, and stays so.
local function load_table(directory)
    local entries, boot_id = read_table(directory)
    local current = (read("/proc/sys/kernel/random/boot_id") or ""):gsub("%s", "")
    for host, entry in pairs(entries) do
        if entry.asleep and boot_id ~= current then
            entry.endpoints = {}
        elseif entry.endpoints and boot_id ~= current then
            entry = { kind = "error", code = "H99", app = entry.app, release = entry.release,
                environment = entry.environment }
        end
        ngx.shared.routes:set(host, cjson.encode(entry))
    end
end

local function load_certificates(directory)
    for host, stem in (read(directory .. "/private/certificates/hosts") or ""):gmatch("(%S+) (%S+)") do
        local place = directory .. "/private/certificates/" .. stem
        local chain, key = read(place .. ".crt"), read(place .. ".key")
        if chain and key then
            ngx.shared.certificates:set(host, chain .. "\0" .. key)
        end
    end
end

function _M.master(directory, hostd_host, https_port)
    _M.directory = directory
    _M.https_suffix = https_port and (https_port == 443 and "" or ":" .. https_port)
    _M.generation = tostring(ngx.now())
    load_pages(directory)
    load_table(directory)
    load_certificates(directory)
    if hostd_host then
        ngx.shared.routes:set(hostd_host, '{"kind":"hostd","app":"","environment":"","release":""}')
    end
end

-- A worker that takes the place of one that died finds requests counted that nobody will finish.
function _M.worker()
    local in_flight = ngx.shared.in_flight
    local slot = ngx.worker.id() .. "|"
    if in_flight:incr("starts|" .. slot .. _M.generation, 1, 0) == 1 then
        return
    end
    for _, key in ipairs(in_flight:get_keys(0)) do
        if key:sub(1, #slot) == slot then
            in_flight:delete(key)
        end
    end
end

return _M
