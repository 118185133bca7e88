-- SET one state and PUBLISH its message in a cluster, where the lease may be on another server: fenced by epoch.
-- KEYS: the state.
-- ARGV: the lease's epoch; how far ahead of the clock an epoch is still believed, in ms; the state; the channel; and,
-- where there is one, the message.
-- Answers 1, or 0 where a newer epoch has been written already.
-- An epoch further ahead is ignored, or one forged state would stop all writing.
local stored = redis.pcall('GET', KEYS[1])
if type(stored) == 'table' and not string.find(stored.err, 'WRONGTYPE', 1, true) then return stored end
local epoch = type(stored) == 'string' and tonumber(string.match(stored, '"epoch":(%d+)') or '0') or 0
if epoch > tonumber(ARGV[1]) and epoch <= redis.call('TIME')[1] * 1000 + tonumber(ARGV[2]) then return 0 end
redis.call('SET', KEYS[1], ARGV[3])
if ARGV[5] then redis.call('PUBLISH', ARGV[4], ARGV[5]) end
return 1
