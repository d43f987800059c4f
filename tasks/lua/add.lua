#!lua flags=allow-oom
-- include rows.lua
-- include enqueue.lua
-- Take slices into the account. Running it twice adds nothing: a slice that is there stays as it is.
-- KEYS[1] the account's state hash
-- ARGV[1] ms until which the slices wait (0: not at all; -1: until arrive.lua lets them be claimed),
-- then for each slice: id, blob, msgpack map of details by row offset ("" for none), ms of its horizon
-- Returns the number of slices that were new.

local now = clock_ms()
local any_cancelled = redis.call('EXISTS', key('cancelled')) == 1
local added = 0
for i = 2, #ARGV, 4 do
  local id, blob, details = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if redis.call('EXISTS', key('s:' .. id)) == 0 then
    added = added + 1
    redis.call('SET', key('s:' .. id), blob)
    local s = slice_of(id)
    note_arrived(s)
    if details ~= '' then
      for offset, detail in pairs(cmsgpack.unpack(details)) do
        redis.call('HSET', key('d:' .. id), offset, cmsgpack.pack(detail))
      end
    end
    local queued = count_of(s, 'q')
    if queued < s.n then
      -- Rows that were refused or suppressed before they came here: their consumers hear it now.
      local states = states_of(s, 0, s.n - 1)
      for offset = 0, s.n - 1 do
        local state = string.sub(states, offset + 1, offset + 1)
        if FINAL[state] and s.events ~= '0' then
          local detail = redis.call('HGET', key('d:' .. id), offset)
          local word = detail and cmsgpack.unpack(detail) or {}
          s.told[#s.told + 1] =
            { offset, offset, 'a', state, word.code or '', word.detail or '', '', 0, math.floor(now) }
        end
      end
    end
    if queued > 0 and any_cancelled and redis.call('SISMEMBER', key('cancelled'), s.job) == 1 then
      move_where(s, 0, s.n - 1, 'c', now, function(state) return state == 'q' end)
    elseif queued > 0 and ARGV[1] ~= '-1' then
      enqueue(s, queued, tonumber(ARGV[1]), now)
    end
    redis.call('ZADD', key('horizon'), ARGV[i + 3], id)
  end
end
flush()
return added
