-- include rows.lua
-- Fail rows that no request can be made of. Only rows that are still queued under the caller's lease: what somebody else
-- claimed since may be on the wire, and if it is not, he refuses it himself.
-- KEYS[1] the account's state hash
-- ARGV[1] code, ARGV[2] detail, ARGV[3] msgpack [[slice, epoch, first, last, first, last, …]]
-- Returns the number of rows that failed.

local now = clock_ms()
local word = { code = ARGV[1], detail = ARGV[2] }
local told = cmsgpack.pack(word)
local failed = 0

for _, rows in ipairs(cmsgpack.unpack(ARGV[3])) do
  local s = slice_of(rows[1])
  local leased_until = tonumber(redis.call('ZSCORE', key('inflight'), rows[1]) or '0')
  if s and s.epoch == rows[2] and leased_until > now then
    for i = 3, #rows, 2 do
      local states = states_of(s, rows[i], rows[i + 1])
      for at = 1, #states do
        if string.sub(states, at, at) == 'q' then redis.call('HSET', key('d:' .. s.id), rows[i] + at - 1, told) end
      end
      failed = failed
        + move_where(s, rows[i], rows[i + 1], 'f', now, function(state) return state == 'q' end, word)
    end
    if count_of(s, 'q') == 0 and count_of(s, 'g') == 0 then redis.call('ZREM', key('inflight'), s.id) end
  end
end
flush()
return failed
