-- Give one symbol back: another writer may have it at once. The snapshot stays, until it expires.
-- KEYS: the snapshot's hash.
-- ARGV: the writer's process and its feed ('' for none).
-- Answers 1 where the symbol was this writer's, else 0.
local held = redis.pcall('HMGET', KEYS[1], 'owner', 'feed', 'rival')
if held.err then return 0 end
local who = ARGV[1] .. ' ' .. ARGV[2]
if held[3] and string.sub(held[3], -#who) == who then redis.call('HDEL', KEYS[1], 'rival') end
if held[1] ~= ARGV[1] or (held[2] or '') ~= ARGV[2] then return 0 end
redis.call('HDEL', KEYS[1], 'owner', 'owned_until')
return 1
