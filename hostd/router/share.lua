-- A Release that is tried out gets a share of the requests. A cookie keeps a client with one of the two Releases, so
-- that a page and the files it names come from the same.
local var = ngx.var

-- access phase: the entry to follow, `entry` itself or its share.
return function(entry)
    local share, cookie = entry.share, var.cookie_hostd_release
    if cookie == share.release then
        return share
    elseif cookie == entry.release then
        return entry
    end
    local chosen = math.random(100) <= share.percent and share or entry
    ngx.header["Set-Cookie"] = "hostd_release=" .. chosen.release .. "; Path=/; HttpOnly; SameSite=Lax"
    return chosen
end
