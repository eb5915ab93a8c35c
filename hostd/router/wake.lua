-- A request for an app that sleeps: ask hostd over its socket and hold the request until the app is up. hostd makes
-- one wake of however many ask.
local directory = require("start").directory
local errors = require "errors"

local CONNECT_MS, ANSWER_MS = 1000, 70000

-- access phase: returns once the app is awake, or ends the request with a page.
return function(host)
    local socket = ngx.socket.tcp()
    socket:settimeouts(CONNECT_MS, CONNECT_MS, ANSWER_MS)
    if not socket:connect("unix:" .. directory .. "/wake.sock") then
        return errors.send("H99")
    end
    local answer = socket:send(host .. "\n") and socket:receive("*l")
    socket:close()
    if answer ~= "ok" then
        return errors.send(answer or "H20")
    end
end
