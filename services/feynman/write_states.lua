-- SET states and PUBLISH messages. Follows cottage/lease_fence.lua, whose KEYS[1], ARGV[1] and ARGV[2] come before, and
-- stamp.lua.
-- KEYS: the states, from the second on; the new ones first, which are stamped.
-- ARGV: the channel, third; how many are new, fourth; then one state a key; then one message for each new one, which
-- gets the same stamp; then others, which get none.
-- Answers the stamps of the new ones.
local states, new, stamps = #KEYS - 1, tonumber(ARGV[4]), {}
if new > 0 then
    local replaced, written = redis.call('MGET', unpack(KEYS, 2, new + 1)), now()  -- MGET says of no string: there is none
    for i = 1, new do
        local epoch, seq = version_of(replaced[i])
        stamps[i] = stamp(epoch, seq, written)
        redis.call('SET', KEYS[i + 1], stamped(ARGV[i + 4], stamps[i]))
    end
end
for i = new + 1, states do redis.call('SET', KEYS[i + 1], ARGV[i + 4]) end
for i = 1, #ARGV - states - 4 do
    local message = ARGV[states + 4 + i]
    redis.call('PUBLISH', ARGV[3], i <= new and stamped(message, stamps[i]) or message)
end
return stamps
