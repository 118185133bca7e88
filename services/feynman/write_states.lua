-- SET states and PUBLISH messages. Follows cottage/lease_fence.lua, whose KEYS[1], ARGV[1] and ARGV[2] come before, and
-- stamp.lua.
-- KEYS: the states, from the second on; the new ones first, which lack their stamp.
-- ARGV: the channel, third; how many are new, fourth; then one state a key; then one message for each new one, which
-- gets the same stamp; then others, which need none.
-- Answers the stamps of the new ones.
local call, sub, KEYS, ARGV = redis.call, string.sub, KEYS, ARGV  -- globals cost more
local channel, states, new, stamps = ARGV[3], #KEYS - 1, tonumber(ARGV[4]), {}
if new > 0 then
    local replaced, written = call('MGET', unpack(KEYS, 2, new + 1)), now()
    -- What was written by one call ends alike: such an end, of this length, gives this stamp.
    local known, length = {}, 0
    for i = 1, new do
        local stored = replaced[i] or ''  -- MGET says of what is no string that it is not there
        local its = known[sub(stored, -length)]
        if not its then
            local epoch, seq, its_end = version_of(stored)
            its = stamp(epoch, seq, written)
            if its_end then length, known[its_end] = #its_end, its end
        end
        stamps[i] = its
        call('SET', KEYS[i + 1], ARGV[i + 4] .. its)
    end
end
for i = new + 1, states do call('SET', KEYS[i + 1], ARGV[i + 4]) end
for i = 1, #ARGV - states - 4 do call('PUBLISH', channel, ARGV[states + 4 + i] .. (stamps[i] or '')) end
return stamps
