#!lua flags=allow-oom
-- include rows.lua
-- include past.lua
-- A person says what became of rows of a slice whose answer was never read. Only rows that are unconfirmed change, so a
-- report or a late answer that comes at the same time wins or loses as a whole.
-- KEYS[1] the account's state hash
-- ARGV[1] slice, ARGV[2] first and ARGV[3] last offset (-1: to its end), ARGV[4] verdict: sent | resend | give_up,
-- ARGV[5] code and ARGV[6] detail of the verdict, for the history and for rows that are given up,
-- ARGV[7] "1" where the account's vendor reports nothing
-- h:<slice> list: an Attempt for each call; resent zset: call without an answer whose rows go again → ms when it began
-- Returns {rows settled, rows left unconfirmed because they may not go again: expired or cancelled}.

local now = clock_ms()
local verdict, code, detail = ARGV[4], ARGV[5], ARGV[6]
local NEW = { sent = 's', resend = 'q', give_up = 'k' }
local new = NEW[verdict]
local s = slice_of(ARGV[1])
if not s then return { 0, 0 } end
local first, last = tonumber(ARGV[2]), tonumber(ARGV[3])
if last < 0 or last >= s.n then last = s.n - 1 end

local states, calls = states_of(s, first, last), calls_of(s, first, last)
local runs, run, run_call, found = {}, nil, nil, 0
for i = 1, last - first + 2 do
  local call = string.sub(states, i, i) == 'u' and struct.unpack('<I4', calls, 4 * i - 3) or nil
  if run and call ~= run_call then
    runs[#runs + 1] = { run_call, first + run - 1, first + i - 2 }
    found = found + i - run
    run = nil
  end
  if call and not run then run, run_call = i, call end
end
if found == 0 then return { 0, 0 } end
if verdict == 'resend' and (s.expires <= now or is_cancelled(s.job)) then
  return { 0, found }
end

local word = { code = code, detail = detail }
local by_call, order = {}, {}
for _, each in ipairs(runs) do
  local call, from, to = each[1], each[2], each[3]
  move(s, from, to, 'u', new, now, word)
  if new == 'k' then
    for offset = from, to do redis.call('HSET', key('d:' .. s.id), offset, cmsgpack.pack(word)) end
  end
  if not by_call[call] then
    by_call[call] = { s.id }
    order[#order + 1] = call
  end
  table.insert(by_call[call], from)
  table.insert(by_call[call], to)
end

-- Whether rows of a call are unconfirmed still, in whatever slice.
local function is_open(past)
  for _, of_slice in ipairs(past and past.rows or {}) do
    local other = slice_of(of_slice[1])
    for i = 2, other and #of_slice or 0, 2 do
      if string.find(states_of(other, of_slice[i], of_slice[i + 1]), 'u', 1, true) then return true end
    end
  end
  return false
end

for _, call in ipairs(order) do
  note_attempt(s.id, cmsgpack.pack({ math.floor(now), call, new, code, detail, '', by_call[call] }))
  local past = past_of(call)
  if verdict == 'resend' and past then redis.call('ZADD', key('resent'), past.began, call) end
  if verdict == 'sent' and ARGV[7] == '1' and past then
    -- Nothing more is to come of them.
    past.unreported = true
    write_past(call, past)
  end
  if not is_open(past) then redis.call('ZREM', key('unconfirmed'), call) end
end
if verdict == 'sent' and ARGV[7] == '1' then
  s.change[UNREPORTED] = (s.change[UNREPORTED] or 0) + found
end
if verdict == 'resend' and leased_until(s) == 0 then put_back(s, 0, now) end
redis.call('HINCRBY', key('state'), 'settled:' .. verdict, found)
flush()
return { found, 0 }
