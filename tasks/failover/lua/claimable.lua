#!lua flags=allow-oom
-- include rows.lua
-- include plan/enqueue.lua
-- Let slices be claimed that were added to wait for this. Running it twice, or after they were claimed, changes nothing.
-- KEYS[1] the account's state hash
-- ARGV id, ms until which it waits (0: not at all), id, ms, …
-- Returns the number of slices that could not be claimed before.

local now = clock_ms()
local arrived = 0
for i = 1, #ARGV, 2 do
  local s = slice_of(ARGV[i])
  local queued = s and count_of(s, 'q') or 0
  local claimed = s and s.epoch > 0
  if queued > 0 and not claimed and not redis.call('ZSCORE', key('out:' .. s.lane), s.id)
    and not redis.call('ZSCORE', key('wait'), s.id) then
    read_starts({ s })
    set_field(s, 'start', next_start(s, queued))
    put_back(s, tonumber(ARGV[i + 1]), now)
    arrived = arrived + 1
  end
end
write_starts()
flush()
return arrived
