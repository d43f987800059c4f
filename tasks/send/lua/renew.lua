#!lua flags=allow-oom
-- include rows.lua
-- Lengthen leases.
-- KEYS[1] the account's state hash
-- ARGV[1] ms of the lease from now, ARGV[2..] id, epoch, id, epoch, …
-- Returns the ids whose lease is lost: the caller starts nothing more with them.

local now = clock_ms()
local lost = {}
for i = 2, #ARGV, 2 do
  local s = slice_of(ARGV[i])
  local until_ms = tonumber(redis.call('ZSCORE', key('inflight'), ARGV[i]) or '0')
  if s and s.epoch == tonumber(ARGV[i + 1]) and until_ms > now then
    redis.call('ZADD', key('inflight'), now + tonumber(ARGV[1]), s.id)
  else
    lost[#lost + 1] = ARGV[i]
  end
end
return lost
