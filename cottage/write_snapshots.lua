-- Write market snapshots, each unless another writer has its symbol; or renew what this one has. What is done with one
-- symbol depends on its own hash alone, so that in a cluster each can be a call of its own.
-- KEYS: the snapshots' hashes.
-- ARGV: the writer's process and its feed ('' for none); for how many ms a symbol is its own then; after how many
-- seconds a hash expires. Then for each key: how many arguments the following is; how many fields are to go, and their
-- names; fields with their values, `price`, its value, `timestamp`, its value first. Without any of these the
-- ownership is renewed, and nothing else.
-- Answers for each key 1 where that was done, else why not and who has the symbol: {'owned', feed and process},
-- {'stranger', source} or {'type', ''}.
-- `seen` is price and timestamp as a script wrote or saw them last. Where the hash has others, a stranger has written
-- by HSET: it owns the symbol, without a name, until nothing new has come of it for as long as a hash lives. An owner
-- whose time lies further ahead than that wrote before the clock was set back, and is not believed.
local process, feed, lifetime, ttl = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]) * 1000
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ours_until, strangers_until = string.format('%.0f', now + lifetime), string.format('%.0f', now + ttl)
local who = process .. ' ' .. feed
local function lives(moment) return moment ~= nil and now < moment and moment <= now + ttl end

-- Who else has the symbol, as it is answered; nil if it is free. Writes down that a stranger has been, and who wants it.
local function refusal(key, found, seen)
    if found == seen then
        local held = redis.call('HMGET', key, 'owned_until', 'owner', 'feed')
        if not lives(tonumber(held[1] or '')) then return nil end
        redis.call('HSET', key, 'rival', ours_until .. ' ' .. who)
        if held[2] then return {'owned', (held[3] or '') .. ' ' .. held[2]} end
    else
        redis.call('HDEL', key, 'owner', 'feed')
        redis.call('HSET', key, 'seen', found, 'owned_until', strangers_until, 'rival', ours_until .. ' ' .. who)
    end
    return {'stranger', redis.call('HGET', key, 'source') or ''}
end

local function write(key, gone, first, last)
    local held = redis.pcall('HMGET', key, 'price', 'timestamp', 'seen', 'owner', 'feed', 'rival')
    if held.err then
        if string.find(held.err, 'WRONGTYPE', 1, true) then return {'type', ''} end
        redis.call('HMGET', key, 'price')  -- which raises the same error
    end
    local found, seen = (held[1] or '') .. ' ' .. (held[2] or ''), held[3] or ' '
    local mine = found == seen and held[4] == process and (held[5] or '') == feed
    if not mine then
        local refused = refusal(key, found, seen)
        if refused then return refused end
    end
    if first > last then
        if mine then redis.call('HSET', key, 'owned_until', ours_until) end
        return 1
    end
    if not mine then
        -- Nothing of another writer is left. The HSET is for a server out of memory, which refuses it, but not a DEL.
        redis.call('HSET', key, 'owner', process)
        redis.call('DEL', key)
    end
    redis.call('HSET', key, 'owner', process, 'owned_until', ours_until,
        'seen', ARGV[first + 1] .. ' ' .. ARGV[first + 3], unpack(ARGV, first, last))
    if mine and gone < first then redis.call('HDEL', key, unpack(ARGV, gone, first - 1)) end
    local rival = held[6]
    if mine and rival and (string.sub(rival, -#who) == who or not lives(tonumber(string.match(rival, '^%d+') or ''))) then
        redis.call('HDEL', key, 'rival')
    end
    redis.call('EXPIRE', key, ARGV[4])
    return 1
end

local replies, at = {}, 5
for i, key in ipairs(KEYS) do
    local last, gone = at + ARGV[at], at + 2
    replies[i] = write(key, gone, gone + ARGV[at + 1], last)
    at = last + 1
end
return replies
