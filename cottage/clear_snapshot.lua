-- Remove what is left of a writer in a hash that a stranger writes now, so that nobody takes it for the stranger's.
-- KEYS: the snapshot's hash.
-- ARGV: the fields that the writer wrote last, each followed by its value.
-- Answers how many still had that value, and were removed.
local removed = 0
for i = 1, #ARGV, 2 do
    if redis.pcall('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then
        removed = removed + redis.call('HDEL', KEYS[1], ARGV[i])
    end
end
return removed
