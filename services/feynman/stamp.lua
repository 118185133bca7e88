-- The beginning of the scripts that write states: the stamp that a state and its message get as they are written, which
-- is the version of the state that this one replaces, and Redis's time in microseconds.
-- KEYS: those of the script that follows.
-- ARGV: those of the script that follows.
-- Answers what the script that follows answers.
local function now()
    local time = redis.call('TIME')
    return time[1] .. string.format('%06d', time[2])
end

-- The version in a stored state, as numbers; nothing where it has none. Feynman's own ones end with it.
local function version_of(stored)
    if type(stored) ~= 'string' then return end
    local epoch, seq = string.match(string.sub(stored, -130), '"epoch":(%d+),"seq":(%d+)[^{}]*}$')
    if not epoch and #stored <= 65536 then
        local read, value = pcall(cjson.decode, stored)
        if read and type(value) == 'table' then epoch, seq = value.epoch, value.seq end
        if type(epoch) ~= 'number' or type(seq) ~= 'number' then return end
    end
    epoch, seq = tonumber(epoch), tonumber(seq)
    local function sound(number) return number and number >= 0 and number <= 2 ^ 53 - 1 and number % 1 == 0 end
    if sound(epoch) and sound(seq) then return epoch, seq end
end

local function stamp(epoch, seq, written)
    local prev = epoch and string.format('[%.0f,%.0f]', epoch, seq) or 'null'
    return ',"prev":' .. prev .. ',"written":' .. written .. '}'
end

local function stamped(message, stamp) return string.sub(message, 1, -2) .. stamp end

