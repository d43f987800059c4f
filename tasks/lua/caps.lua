-- include rows.lua
-- Which of some messages may go now, where only so many of a kind may go to one place in any window; those that may are
-- noted. A message is noted once: it is never in its own way, and noting it again moves it to now.
-- KEYS[1] the account's state hash
-- ARGV[1] msgpack {caps: [{most, window_ms, marks, tells}], mark, keep_ms, until_ms}: a cap counts what has one of its
--         marks; one that tells lets go all the same; messages are noted with `mark`, for keep_ms. Where mark is "" they
--         are struck out instead, unless they were noted again after until_ms.
-- ARGV[2..] for each message: what it counts against (a key's name), its own digest (12 bytes)
-- Returns {ms, n, cap, at, free, n, …}: for each message n that a cap stands against, counted from 0, the first such cap,
--         when the oldest of those in its way was noted, and when all caps have room for it if nothing else comes.
--
-- cap:<digest> string: for each message ms (double), mark, digest; lives for keep_ms.

local RECORD = '<dc1c12'
local RECORD_BYTES = 21

local ask = cmsgpack.unpack(ARGV[1])
local now = clock_ms()
local names = {}
for i = 2, #ARGV, 2 do names[#names + 1] = key(ARGV[i]) end
local logs = {}
for n, raw in ipairs(redis.call('MGET', unpack(names))) do logs[names[n]] = raw or '' end

-- The messages in a log that still count, in the order of their times, without one of them; and when that was noted.
local function others(log, id)
  local found, own = {}, nil
  for i = 1, #log, RECORD_BYTES do
    local at, mark, each = struct.unpack(RECORD, log, i)
    if each == id then
      own = at
    elseif at + ask.keep_ms > now then
      found[#found + 1] = { at = at, mark = mark, raw = string.sub(log, i, i + RECORD_BYTES - 1) }
    end
  end
  return found, own
end

-- When the oldest of those in the way of one more was noted, and when there is room; nil where there is.
local function in_the_way(cap, found)
  local counted = {}
  for _, each in ipairs(found) do
    if string.find(cap.marks, each.mark, 1, true) and each.at + cap.window_ms > now then
      counted[#counted + 1] = each.at
    end
  end
  if #counted < cap.most then return nil end
  local oldest = counted[#counted - cap.most + 1]
  return oldest, oldest + cap.window_ms
end

local result = { string.format('%.3f', now) }
for n, name in ipairs(names) do
  local id = ARGV[2 * n + 1]
  local found, own = others(logs[name], id)
  local first, at, free, stays = nil, 0, now, false
  for c, cap in ipairs(ask.caps) do
    local oldest, room = in_the_way(cap, found)
    if oldest then
      if not first then first, at = c, oldest end
      free = math.max(free, room)
      stays = stays or not cap.tells
    end
  end
  if first then
    result[#result + 1] = n - 1
    result[#result + 1] = first - 1
    result[#result + 1] = string.format('%.3f', at)
    result[#result + 1] = string.format('%.3f', free)
  end
  local note = ask.mark ~= '' and not stays
  if note or (ask.mark == '' and own and own <= ask.until_ms) then
    local log = {}
    for i, each in ipairs(found) do log[i] = each.raw end
    if note then log[#log + 1] = struct.pack(RECORD, now, ask.mark, id) end
    logs[name] = table.concat(log)
    if logs[name] == '' then
      redis.call('DEL', name)
    elseif note then
      redis.call('SET', name, logs[name], 'PX', ask.keep_ms)
    else
      redis.call('SET', name, logs[name], 'KEEPTTL')
    end
  end
end
return result
