-- Take a lease that is free or the caller's own already. A key of another type than string is no lease: it is replaced.
-- KEYS: the lease.
-- ARGV: how every record of this holder begins; the new record; its lifetime in ms.
-- Answers nil where the lease was taken, and the type of a key that was replaced, as {type}; else the record of the
-- one who holds it.
local current, replaced = redis.pcall('GET', KEYS[1]), false
if type(current) == 'table' then
    if not string.find(current.err, 'WRONGTYPE', 1, true) then return current end
    replaced = {redis.call('TYPE', KEYS[1]).ok}
elseif current and string.sub(current, 1, #ARGV[1]) ~= ARGV[1] then
    return current
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return replaced
