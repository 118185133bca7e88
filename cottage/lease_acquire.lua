-- Take a lease that is free or the caller's own already.
-- KEYS: the lease.
-- ARGV: how every record of this holder begins; the new record; its lifetime in ms.
-- Answers nil where the lease was taken, else the record of the one who holds it.
local current = redis.pcall('GET', KEYS[1])
if type(current) == 'table' then
    if not string.find(current.err, 'WRONGTYPE', 1, true) then return current end
    return redis.error_reply('WRONGTYPE ' .. KEYS[1] .. ' is no string: delete it')
end
if current and string.sub(current, 1, #ARGV[1]) ~= ARGV[1] then return current end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return false
