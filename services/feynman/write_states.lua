-- SET states and PUBLISH messages. Follows cottage/lease_fence.lua, whose KEYS[1], ARGV[1] and ARGV[2] come before:
-- KEYS: the states, from the second on.
-- ARGV: the channel, third; then one state a key; then the messages.
-- Answers nothing.
local states = #KEYS - 1
for i = 1, states do redis.call('SET', KEYS[i + 1], ARGV[i + 3]) end
for i = states + 4, #ARGV do redis.call('PUBLISH', ARGV[3], ARGV[i]) end
