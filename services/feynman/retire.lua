-- Retire symbols: delete their states and snapshots, and note that they are gone. Follows cottage/lease_fence.lua,
-- whose KEYS[1], ARGV[1] and ARGV[2] come before:
-- KEYS: the set of retired symbols, second; then whatever is to be deleted.
-- ARGV: for how many ms the set keeps a symbol, third; how many it keeps, fourth; then the symbols.
-- Answers nothing.
-- The set's scores are times of Redis in ms, each above the ones before, so that a reader who has seen one of them
-- finds all later ones, also where the clock was set back. A score further ahead than a symbol is kept is nobody's.
local time = redis.call('TIME')
local now, kept = time[1] * 1000 + math.floor(time[2] / 1000), tonumber(ARGV[3])
if redis.call('TYPE', KEYS[2]).ok ~= 'zset' then redis.call('DEL', KEYS[2]) end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - kept)
redis.call('ZREMRANGEBYSCORE', KEYS[2], now + kept, '+inf')
local newest = redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]
local score = string.format('%.0f', math.max(now, newest and newest + 1 or 0))
for i = 3, #KEYS do redis.call('DEL', KEYS[i]) end
for i = 5, #ARGV do redis.call('ZADD', KEYS[2], score, ARGV[i]) end
redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -ARGV[4] - 1)
