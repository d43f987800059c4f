#!lua flags=allow-oom
-- include rows.lua
-- include past.lua
-- Move all rows of slices that are in one state to another: expire, cancel, give up.
-- KEYS[1] the account's state hash
-- ARGV[1] from (state bytes, any of them), ARGV[2] to, ARGV[3] code ("" for none), ARGV[4] detail,
-- ARGV[5] "1" where only slices past their expiry count (one run then moves no more than some thousand rows: run it
-- again until it moves none), "r" where submitted rows count only if a report was to follow, ARGV[6..] slice ids
-- Returns the number of rows moved.

local now = clock_ms()
local from, to = ARGV[1], ARGV[2]
local moved = 0
local EXPIRED_AT_ONCE = 20000
local awaited = {}

-- Whether the endpoint that took a call reports: one slice may hold rows of both kinds.
local function awaits_report(call)
  if awaited[call] == nil then
    local past = past_of(call)
    awaited[call] = not (past and past.unreported)
  end
  return awaited[call]
end

local function fits(state, call)
  return string.find(from, state, 1, true) ~= nil and (ARGV[5] ~= 'r' or state ~= 's' or awaits_report(call))
end

for i = 6, #ARGV do
  if ARGV[5] == '1' and moved >= EXPIRED_AT_ONCE then break end
  local s = slice_of(ARGV[i])
  if s and (ARGV[5] ~= '1' or s.expires <= now) then
    local many = move_where(s, 0, s.n - 1, to, now, fits, { code = ARGV[3], detail = ARGV[4] })
    if many > 0 and ARGV[3] ~= '' then
      -- One detail for all rows of this state: rows that have their own keep it.
      redis.call('HSET', key('d:' .. s.id), '@' .. to, cmsgpack.pack({ code = ARGV[3], detail = ARGV[4] }))
    end
    if count_of(s, 'q') == 0 then
      redis.call('ZREM', key('out:' .. s.lane), s.id)
      redis.call('ZREM', key('wait'), s.id)
    end
    moved = moved + many
  end
end
flush()
return moved
