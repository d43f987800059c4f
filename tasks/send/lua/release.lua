#!lua flags=allow-oom
-- include rows.lua
-- Give slices back that this owner leases, with what is queued in them.
-- KEYS[1] the account's state hash
-- ARGV[1] ms from now when they may be claimed again (0: at once), ARGV[2] "1" where that is because the vendor took
-- nothing: it is counted, ARGV[3..] id, epoch, …
-- Returns how many were still this owner's.

local now = clock_ms()
local wait_ms = tonumber(ARGV[1])
local released = 0
for i = 3, #ARGV, 2 do
  local s = slice_of(ARGV[i])
  if s and s.epoch == tonumber(ARGV[i + 1]) and redis.call('ZSCORE', key('inflight'), s.id) then
    -- A slice with calls on the wire keeps its lease for them; its queued rows go out again under a new epoch.
    if ARGV[2] == '1' then set_field(s, 'aside', math.min(s.aside + 1, MOST_ASIDE)) end
    put_back(s, now + wait_ms, now)
    released = released + 1
  end
end
flush()
return released
