-- Write market snapshots, each unless another writer has its symbol; or renew what this one has. What is done with one
-- symbol depends on its own hash alone, so that in a cluster each can be a call of its own.
-- KEYS: the snapshots' hashes.
-- ARGV: the writer's process and its feed ('' for none); for how many ms a symbol is its own then; after how many
-- seconds a hash expires. How many fields are to go, and their names. How many fields are to be written, and their
-- names, `price` and `timestamp` first; without any the ownership is renewed, and nothing else. Then for each key the
-- stamp of what this writer wrote last, if these are only the fields that have changed since, or '' if these are all;
-- and the fields' values.
-- Answers for each key 1 where that was done; 0 where the hash is not as this writer left it, so that all fields are
-- needed; else why not and who has the symbol: {'owned', feed and process, its native}, {'stranger', source, ''} or
-- {'type', '', ''}.
-- A stamp is price, timestamp, volume and trades, from which numbers are computed; `seen` is that which a script wrote
-- or saw last. Where the hash has another, a stranger has written by HSET: it owns the symbol, without a name, until
-- nothing new has come of it for as long as a hash lives. An owner whose time lies further ahead than that wrote before
-- the clock was set back, and is not believed.
local call, unpack, ARGV = redis.call, unpack, ARGV  -- globals cost more
local process, feed, lifetime, ttl = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]) * 1000
local gone = {unpack(ARGV, 6, 5 + ARGV[5])}
local count = tonumber(ARGV[6 + #gone])
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ours_until, strangers_until = string.format('%.0f', now + lifetime), string.format('%.0f', now + ttl)
local who, owner = process .. ' ' .. feed, {'owner', process}
if feed ~= '' then owner = {'owner', process, 'feed', feed} end
local function lives(moment) return moment ~= nil and now < moment and moment <= now + ttl end

-- HSET's arguments, for one key after the other: the values have the even places from the sixth on.
local fields = {'owned_until', ours_until, 'seen', ''}
local place = {}
for number = 1, count do
    local name = ARGV[6 + #gone + number]
    fields[3 + 2 * number], place[name] = name, number
end
local volume, trades = place.volume, place.trades

-- Who else has the symbol, as it is answered; nil if it is free. Writes down that a stranger has been, and who wants it.
local function refusal(key, found, seen)
    if found == seen then
        local held = call('HMGET', key, 'owned_until', 'owner', 'feed', 'native')
        if not lives(tonumber(held[1] or '')) then return nil end
        call('HSET', key, 'rival', ours_until .. ' ' .. who)
        if held[2] then return {'owned', (held[3] or '') .. ' ' .. held[2], held[4] or ''} end
    else
        call('HDEL', key, 'owner', 'feed')
        call('HSET', key, 'seen', found, 'owned_until', strangers_until, 'rival', ours_until .. ' ' .. who)
    end
    return {'stranger', call('HGET', key, 'source') or '', ''}
end

local function write(key, at)
    local held = redis.pcall('HMGET', key, 'price', 'timestamp', 'volume', 'trades', 'owner', 'feed', 'rival')
    if held.err then
        if string.find(held.err, 'WRONGTYPE', 1, true) then return {'type', '', ''} end
        call('HMGET', key, 'price')  -- which raises the same error
    end
    local found = (held[1] or '') .. ' ' .. (held[2] or '') .. ' ' .. (held[3] or '') .. ' ' .. (held[4] or '')
    local before, rival = ARGV[at], held[7]
    local mine = held[5] == process and (held[6] or '') == feed
    if before ~= '' then
        if not mine or found ~= before then return 0 end
    else
        local seen = call('HGET', key, 'seen') or '   '
        mine = mine and found == seen
        local refused = not mine and refusal(key, found, seen)
        if refused then return refused end
    end
    if count == 0 then
        if mine then call('HSET', key, 'owned_until', ours_until) end
        return 1
    end
    fields[4] = ARGV[at + 1] .. ' ' .. ARGV[at + 2] ..
        ' ' .. (volume and ARGV[at + volume] or '') .. ' ' .. (trades and ARGV[at + trades] or '')
    for number = 1, count do fields[4 + 2 * number] = ARGV[at + number] end
    if not mine then
        -- Nothing of another writer is left. The HSET is for a server out of memory, which refuses it, but not a DEL.
        call('HSET', key, 'owner', process)
        call('DEL', key)
        call('HSET', key, unpack(owner))
    end
    call('HSET', key, unpack(fields))
    if mine and #gone > 0 then call('HDEL', key, unpack(gone)) end
    if mine and rival and (string.sub(rival, -#who) == who or not lives(tonumber(string.match(rival, '^%d+') or ''))) then
        call('HDEL', key, 'rival')
    end
    call('EXPIRE', key, ARGV[4])
    return 1
end

local replies, at = {}, 7 + #gone + count
for i, key in ipairs(KEYS) do
    replies[i] = write(key, at)
    at = at + 1 + count
end
return replies
