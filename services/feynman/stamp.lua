-- The beginning of the scripts that write states: the stamp with which a state and its message end as they are written.
-- It is the version of the state that this one replaces, and Redis's time in microseconds.
-- KEYS: those of the script that follows.
-- ARGV: those of the script that follows.
-- Answers what the script that follows answers.
local function now()
    local time = redis.call('TIME')
    return time[1] .. string.format('%06d', time[2])
end

local function sound(number) return type(number) == 'number' and number >= 0 and number < 2 ^ 53 and number % 1 == 0 end

-- The version in a stored state, and the end of that which says it, if it is one of feynman's own.
local function version_of(stored)
    local its_end, epoch, seq = string.match(stored, '("epoch":(%d+),"seq":(%d+)[^{}]*})$', -130)
    epoch, seq = tonumber(epoch), tonumber(seq)
    if not its_end and #stored <= 65536 then
        local read, value = pcall(cjson.decode, stored)
        if read and type(value) == 'table' then epoch, seq = value.epoch, value.seq end
    end
    if sound(epoch) and sound(seq) then return epoch, seq, its_end end
end

local function stamp(epoch, seq, written)
    local prev = epoch and string.format('[%.0f,%.0f]', epoch, seq) or 'null'
    return ',"prev":' .. prev .. ',"written":' .. written .. '}'
end
