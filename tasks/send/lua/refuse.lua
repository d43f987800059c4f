#!lua flags=allow-oom
-- include rows.lua
-- End rows that are not to be sent: `failed` where no request can be made of them, `suppressed` where they must not be.
-- Only rows that are still queued under the caller's lease: what somebody else claimed since may be on the wire, and if
-- it is not, he refuses it himself.
-- KEYS[1] the account's state hash
-- ARGV[1] their state's byte, ARGV[2] code, ARGV[3] detail,
-- ARGV[4] msgpack [[slice, epoch, first, last, first, last, …]]
-- Returns the number of rows that ended.

local now = clock_ms()
local word = { code = ARGV[2], detail = ARGV[3] }
local told = cmsgpack.pack(word)
local ended = 0

for _, rows in ipairs(cmsgpack.unpack(ARGV[4])) do
  local s = slice_of(rows[1])
  local leased_until = tonumber(redis.call('ZSCORE', key('inflight'), rows[1]) or '0')
  if s and s.epoch == rows[2] and leased_until > now then
    for i = 3, #rows, 2 do
      local states = states_of(s, rows[i], rows[i + 1])
      for at = 1, #states do
        if string.sub(states, at, at) == 'q' then redis.call('HSET', key('d:' .. s.id), rows[i] + at - 1, told) end
      end
      ended = ended
        + move_where(s, rows[i], rows[i + 1], ARGV[1], now, function(state) return state == 'q' end, word)
    end
    if count_of(s, 'q') == 0 and count_of(s, 'g') == 0 then redis.call('ZREM', key('inflight'), s.id) end
  end
end
flush()
return ended
