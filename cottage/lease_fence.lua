-- The beginning of every fenced script: it goes on only where the caller still holds the lease, and renews that.
-- KEYS: the lease; then those of the script that follows.
-- ARGV: the holder's record; its lifetime in ms; then those of the script that follows.
-- Answers the error LEASELOST, or what the script that follows answers.
-- The record is compared as a whole, so that neither a stranger's lease nor an older one of the caller's own passes.
-- PEXPIRE comes first: a server out of memory lets a script go on that has begun to write.
local held = redis.pcall('GET', KEYS[1])
if held ~= ARGV[1] then
    -- Where Redis does not even say what is there, such as for an ACL that forbids it, nothing is known to be lost.
    if type(held) == 'table' and not string.find(held.err, 'WRONGTYPE', 1, true) then return held end
    return redis.error_reply('LEASELOST ' .. KEYS[1])
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
