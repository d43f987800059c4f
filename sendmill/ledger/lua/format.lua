#!lua flags=allow-oom
-- Say which format the workers of a ledger write and read. Neither number is ever lowered.
-- KEYS[1] <namespace>:{jobs}:format string: the format that is written, and the oldest that is read
-- ARGV[1] the format that the caller writes, ARGV[2] the oldest that it reads
-- Returns what holds now. A ledger that the caller cannot read, or that is newer, stays as it is.

local mine, oldest = tonumber(ARGV[1]), tonumber(ARGV[2])
local kept = redis.call('GET', KEYS[1])
if not kept and redis.call('EXISTS', string.sub(KEYS[1], 1, -7) .. 'all') == 1 then
  kept = '1' -- what was written before there was a number
end
local written, read_from = mine, oldest
if kept then
  written = tonumber(string.match(kept, '^%d+'))
  read_from = tonumber(string.match(kept, '%d+$'))
end
if written > mine or written < oldest then return kept end
local now = mine .. ' ' .. math.max(oldest, written == mine and read_from or oldest)
if now ~= kept then redis.call('SET', KEYS[1], now) end
return now
