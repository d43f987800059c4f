#!lua flags=allow-oom
-- include rows.lua
-- Begin to move rows of one slice to slices of other accounts: from here on nobody can send them from this account, and
-- `moving` holds all that is needed to make them arrive there. All of it or nothing.
-- KEYS[1] the account's state hash
-- ARGV[1] the slice, ARGV[2] "1" where that was done before a restart of Redis that forgot it, then for each new slice: its id, msgpack [account, first, last, …] (the rows that it takes),
-- msgpack Move
-- Returns 1, or 0 where the slice is leased, cancelled, expired or has rows that are not queued any more, or where it is
-- not written yet what a restart of Redis lost.

local now = clock_ms()
local s = slice_of(ARGV[1])
if not s then return 0 end
if ARGV[2] ~= '1' then
  local quarantine = tonumber(redis.call('HGET', key('clock'), 'quarantine') or '0')
  if quarantine > now or leased_until(s) > 0 or s.expires <= now or is_cancelled(s.job) then return 0 end
end
local links = {}
for i = 3, #ARGV, 3 do
  local link = cmsgpack.unpack(ARGV[i + 1])
  for n = 2, #link, 2 do
    if states_of(s, link[n], link[n + 1]) ~= string.rep('q', link[n + 1] - link[n] + 1) then return 0 end
  end
  links[#links + 1] = link
end
for i = 3, #ARGV, 3 do
  local link = links[i / 3]
  for n = 2, #link, 2 do move(s, link[n], link[n + 1], 'q', 'm', now) end
  redis.call('HSET', key('m:' .. s.id), ARGV[i], ARGV[i + 1])
  redis.call('HSET', key('moving'), ARGV[i], ARGV[i + 2])
end
if count_of(s, 'q') == 0 then
  redis.call('ZREM', key('out:' .. s.lane), s.id)
  redis.call('ZREM', key('wait'), s.id)
end
flush()
return 1
