-- Delete a lease whose holder is dead, but which Redis would keep.
-- KEYS: the lease.
-- ARGV: its value; the lifetime that this says, in ms: with less left it has been renewed. -1 if that does not matter.
-- Answers 1 where it was deleted, else 0: it has another value meanwhile, or was renewed.
local left = redis.call('PTTL', KEYS[1])
if left >= 0 and left <= tonumber(ARGV[2]) then return 0 end
if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
