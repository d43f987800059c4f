#!lua flags=allow-oom
-- include rows.lua
-- include past.lua
-- include throttle.lua
-- Undo calls that were granted and certainly not made: their rows are queued again, their numbers become void, so that
-- a `begin` that is still on its way to this server marks nothing.
-- KEYS[1] the account's state hash
-- ARGV[1] ms for which the numbers stay void, ARGV[2] msgpack [{name, unit, window_ms, most, services}], ARGV[3..] call numbers
-- Returns the number of calls undone.

local now = clock_ms()
local _, limits = standing(cmsgpack.unpack(ARGV[2]), 0)
local undone = 0

local function queue_again(no, rows)
  for _, run in ipairs(rows) do
    local s = slice_of(run[1])
    if s then
      for j = 2, #run, 2 do
        move_where(s, run[j], run[j + 1], 'q', now,
          function(state, call) return (state == 'g' or state == 'u') and call == no end)
      end
      -- Where the lease was lost meanwhile the slice is nowhere: bring it back.
      if not redis.call('ZSCORE', key('inflight'), s.id) then put_back(s, 0, now) end
    end
  end
  redis.call('HINCRBY', key('state'), 'calls', -1)
  undone = undone + 1
end

for i = 3, #ARGV do
  local no = tonumber(ARGV[i])
  local record = redis.call('HMGET', key('call:' .. no), 'rows', 'service', 'recipients', 'at')
  if record[1] then
    queue_again(no, cmsgpack.unpack(record[1]))
    for _, limit in ipairs(limits) do
      if holds_for(limit, record[2]) then
        refund(limit, cost_of(limit, tonumber(record[3])), tonumber(record[4]))
      end
    end
    redis.call('ZREM', key('slots:' .. record[2]), no)
    redis.call('HDEL', key('clock'), 'trial')
  else
    -- The sweep took it for a call without an answer, because its owner was silent for so long.
    local past = past_of(no)
    if past and past.state == 'u' and past.code == 'no_answer' then
      queue_again(no, past.rows)
      drop_past(no)
      redis.call('ZREM', key('unconfirmed'), no)
      redis.call('HINCRBY', key('state'), 'ended:u', -1)
      count({ undone = 1 }) -- the sweep counted it; what Prometheus reads never goes down
    end
  end
  redis.call('ZREM', key('open'), no)
  redis.call('ZREM', key('unwritten'), no)
  redis.call('DEL', key('call:' .. no))
  redis.call('HSET', key('call:' .. no), 'void', 1)
  redis.call('PEXPIRE', key('call:' .. no), ARGV[1])
end
flush()
return undone
