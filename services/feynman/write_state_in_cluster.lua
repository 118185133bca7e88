-- SET one state and PUBLISH its message in a cluster, where the lease may be on another server: fenced by epoch. Follows
-- stamp.lua.
-- KEYS: the state.
-- ARGV: the lease's epoch; how far ahead of the clock an epoch is still believed, in ms; the state; the channel; and,
-- where it is a new one, the message; both lack their stamp then.
-- Answers 0 where a newer epoch has been written already; else the stamp, or 1 where the state is no new one.
-- An epoch further ahead is ignored, or one forged state would stop all writing.
local stored = redis.pcall('GET', KEYS[1])
if type(stored) == 'table' and not string.find(stored.err, 'WRONGTYPE', 1, true) then return stored end
local epoch, seq = version_of(type(stored) == 'string' and stored or '')
if epoch and epoch > tonumber(ARGV[1]) and epoch <= redis.call('TIME')[1] * 1000 + tonumber(ARGV[2]) then return 0 end
if not ARGV[5] then
    redis.call('SET', KEYS[1], ARGV[3])
    return 1
end
local its = stamp(epoch, seq, now())
redis.call('SET', KEYS[1], ARGV[3] .. its)
redis.call('PUBLISH', ARGV[4], ARGV[5] .. its)
return its
