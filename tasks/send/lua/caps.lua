#!lua flags=allow-oom
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
local ID_AT = 10 -- where the digest stands in a record, from 1

local ask = cmsgpack.unpack(ARGV[1])
local now = clock_ms()
local names = {}
for i = 2, #ARGV, 2 do names[#names + 1] = key(ARGV[i]) end
local logs = {}
for n, raw in ipairs(redis.call('MGET', unpack(names))) do logs[names[n]] = raw or '' end

-- A log without one message and without what counts no more; and when that one was noted. Logs are in order of time.
local function others(log, id)
  local own, at = nil, string.find(log, id, 1, true)
  while at and (at - ID_AT) % RECORD_BYTES ~= 0 do at = string.find(log, id, at + 1, true) end
  if at then
    local first = at - ID_AT + 1
    own = struct.unpack('<d', log, first)
    log = string.sub(log, 1, first - 1) .. string.sub(log, first + RECORD_BYTES)
  end
  while log ~= '' and struct.unpack('<d', log) + ask.keep_ms <= now do log = string.sub(log, RECORD_BYTES + 1) end
  return log, own
end

-- When the oldest of those in the way of one more was noted, and when there is room; nil where there is.
local function in_the_way(cap, log)
  local counted = 0
  for i = #log - RECORD_BYTES + 1, 1, -RECORD_BYTES do
    local at, mark = struct.unpack('<dc1', log, i)
    if at + cap.window_ms <= now then return nil end
    if string.find(cap.marks, mark, 1, true) then
      counted = counted + 1
      if counted == cap.most then return at, at + cap.window_ms end
    end
  end
  return nil
end

local result = { string.format('%.3f', now) }
for n, name in ipairs(names) do
  local id = ARGV[2 * n + 1]
  local log, own = others(logs[name], id)
  local first, at, free, stays = nil, 0, now, false
  for c, cap in ipairs(ask.caps) do
    local oldest, room = in_the_way(cap, log)
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
    if note then log = log .. struct.pack(RECORD, now, ask.mark, id) end
    logs[name] = log
    if log == '' then
      redis.call('DEL', name)
    elseif note then
      redis.call('SET', name, log, 'PX', ask.keep_ms)
    else
      redis.call('SET', name, log, 'KEEPTTL')
    end
  end
end
return result
