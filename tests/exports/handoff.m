-- a test, exported by pmaplab export
--
-- agents: cpu0, cpu1
-- properties: assertions, small
--
-- To verify, with all reductions off:
--     rumur --deadlock-detection off --symmetry-reduction off --threads 1 --output model.c FILE
--     gcc -std=c11 -O3 -march=native -w -o model model.c -lpthread -mcx16
--     ./model
--     leave out --threads 1 for all cores; --max-errors N goes on after errors
--
-- The number of states is that of pmaplab's own search, that of rules fired the number of its transitions, as long as no invariant fails: Rumur does not go on from a state in which one does.
-- A cover that is not hit counts as an error: it is a point that must be reached, or the verdict is vacuous.
-- An error that begins with `model error', and one of Rumur's own about a value out of range or an overflow in 64 bits, is no verdict.
--
-- Not exported:
--   - progress (a CPU with work left that no future lets move): that every state has such a future is no safety property
--   - console output, statistics counters and the messages' arguments

type
  wide: -9223372036854775807..9223372036854775806;
  agent_t: 0..1;
  cpu_t: 0..1;
  passed_t: array [0..0] of 0..1;
  -- Where an agent stands, and its stack.
  part_t: record
    s0: 1..6; -- pc
    s1: 0..0; -- return of second, return of first
  end;
var
  -- What every agent can see.  A pointer is the number of a variable, 0 is NULL.
  g_flag: 0..4294967295; -- 1: flag
  g_counts_0: 0..3; -- 2: counts[0]
  g_counts_1: 0..3; -- 3: counts[1]
  g_regions_0: 0..1; -- 4: regions[0]
  g_regions_1: 0..1; -- 5: regions[1]
  agents: array [agent_t] of part_t;

function inside(x: wide; lo: wide; hi: wide): wide;
begin
  if x < lo | x > hi then error "page fault" endif;
  return x;
end;
function fitting(x: wide; lo: wide; hi: wide): wide;
begin
  if x < lo | x > hi then error "model error: a value is out of range" endif;
  return x;
end;
function exact(x: wide; lo: wide; hi: wide): wide;
begin
  if x < lo | x > hi then error "overflow" endif;
  return x;
end;
function shift_by(n: wide; bits: wide): wide;
begin
  if n < 0 | n >= bits then error "overflow" endif;
  return n;
end;
-- The least number that is x modulo m.
function low(x: wide; m: wide): wide; begin return ((x % m) + m) % m; end;
function sign_extended(x: wide; m: wide): wide;
var r: wide;
begin
  r := ((x % m) + m) % m;
  return r >= m / 2 ? r - m : r;
end;
function over(a: wide; b: wide): wide;
begin
  if b = 0 then error "divide error" endif;
  return a / b;
end;
function rest(a: wide; b: wide): wide;
begin
  if b = 0 then error "divide error" endif;
  return a % b;
end;
function unsigned(a: wide): wide;
begin
  if a < 0 then error "model error: a division of a number with bit 63" endif;
  return a;
end;
-- Of numbers of 64 bits without sign.
function below(a: wide; b: wide): boolean;
begin
  return ((a < 0) = (b < 0)) ? (a < b) : (b < 0);
end;
function shifted_right(a: wide; n: wide): wide;
begin
  if a >= 0 | n = 0 then return a >> n endif;
  return n = 1 ? (-1 - ((-1 - a) >> 1)) + 9223372036854775807 + 1
    : (-1 - ((-1 - a) >> n)) + (1 << (64 - n));
end;
function shifted_right_signed(a: wide; n: wide): wide;
begin
  return a >= 0 ? a >> n : -1 - ((-1 - a) >> n);
end;
function ones(a: wide): wide;
var n: wide; c: wide;
begin
  n := a < 0 ? -1 - a : a;
  c := 0;
  while n > 0 do c := c + n % 2; n := n / 2; endwhile;
  return c;
end;
function population(a: wide; bits: wide): wide;
begin
  return a < 0 ? bits - ones(a) : ones(a);
end;
function first_set(a: wide): wide;
var n: wide; c: wide;
begin
  if a = 0 then return 0 endif;
  n := a;
  c := 1;
  while n % 2 = 0 do n := n / 2; c := c + 1; endwhile;
  return c;
end;
function digit(ways: wide; var choice: wide; var product: wide; limit: wide): wide;
var found: wide;
begin
  if ways > 4096 | product * ways > limit then error "model error: too many choices" endif;
  product := product * ways;
  found := choice % ways;
  choice := choice / ways;
  return found;
end;
function load0(at: wide): wide;
begin
  if at = 4 then return g_regions_0 endif;
  if at = 5 then return g_regions_1 endif;
  if at = 0 then error "page fault: a NULL pointer is dereferenced"
  else error "model error: a wild pointer" endif;
end;
procedure store0(at: wide; x: wide);
begin
  if at = 4 then g_regions_0 := x; return; endif;
  if at = 5 then g_regions_1 := x; return; endif;
  if at = 0 then error "page fault: a NULL pointer is dereferenced"
  else error "model error: a wild pointer" endif;
end;
function load1(at: wide): wide;
begin
  if at = 2 then return g_counts_0 endif;
  if at = 3 then return g_counts_1 endif;
  if at = 0 then error "page fault: a NULL pointer is dereferenced"
  else error "model error: a wild pointer" endif;
end;
procedure store1(at: wide; x: wide);
begin
  if at = 2 then g_counts_0 := x; return; endif;
  if at = 3 then g_counts_1 := x; return; endif;
  if at = 0 then error "page fault: a NULL pointer is dereferenced"
  else error "model error: a wild pointer" endif;
end;
-- <ir>:9: bump
function f_bump(cpu: cpu_t; p_v_bump_n: wide): wide;
var
  v_bump_n: 0..1; -- bump.n
  v_bump_x: 0..4; -- bump.x
  v_bump_stored: 0..3; -- bump.stored.
  ignored: wide;
begin
  v_bump_n := p_v_bump_n;
  -- <ir>:12: %x = load index(@counts:*[2 x u8(0..3)], %n)
  v_bump_x := load1((inside(v_bump_n, 0, 1) + 2));
  -- <ir>:13: %x = add(%x, 1:u8)
  v_bump_x := (v_bump_x + 1);
  -- <ir>:14: store index(@counts:*[2 x u8(0..3)], %n), %x
  v_bump_stored := fitting(v_bump_x, 0, 3);
  store1((inside(v_bump_n, 0, 1) + 2), v_bump_stored);
  -- <ir>:15: return %x
  return v_bump_x;
end;
-- <ir>:17: small
function holds0(cpu: cpu_t; p_v_small_cpu: wide; var passed: passed_t): boolean;
var
  v_small_cpu: 0..1; -- small.cpu
  v_small_x: 0..3; -- small.x
  ignored: wide;
begin
  v_small_cpu := p_v_small_cpu;
  -- <ir>:20: %x = load index(@counts:*[2 x u8(0..3)], %cpu)
  v_small_x := load1((inside(v_small_cpu, 0, 1) + 2));
  -- <ir>:21: assert lt(%x, 2:u8), KASSERT, 'count is %d', %x
  if !(v_small_x < 2) then return false endif;
  -- <ir>:22: return
  return true;
end;
function judge0(cpu: cpu_t): boolean;
var
  found: boolean;
  passed: passed_t;
begin
  passed[0] := 0;
  found := holds0(cpu, cpu, passed);
  cover passed[0] = 1 "handed over";
  return found;
end;
function exempt0(cpu: cpu_t): boolean;
var
  mask: wide;
  passed: passed_t;
begin
  passed[0] := 0;
  switch cpu
  case 0: mask := g_regions_0;
  case 1: mask := g_regions_1;
  endswitch;
  if ((mask + 0) & 1) != 0 then
    return true;
  endif;
  return false;
end;
-- Take the step of an agent that begins at a point.
procedure run(a: agent_t; given: wide; limit: wide; point: wide);
var
  v_first_pick0: 0..1; -- first.pick0.
  v_first_way: 0..1; -- first.way
  v_first_givenu8: 1..4; -- first.givenu8.
  v_first_x: 1..4; -- first.x
  v_second_x: 0..4294967295; -- second.x
  v_second_oldu32: 0..4294967295; -- second.oldu32.
  n: 0..6;
  cpu: cpu_t;
  choice: wide;
  product: wide;
  ignored: wide;
  turns: 0..200000;
  passed: passed_t;
begin
  passed[0] := 0;
  n := point; choice := given; product := 1; turns := 0;
  switch a
  case 0: cpu := 0;
  case 1: cpu := 1;
  endswitch;
  while n > 0 do
    turns := turns + 1;
    switch n
    case 2: -- first, <ir>:28
      -- <ir>:28: %way = choose 0:u32, 1:u32
      assume 0 <= 1 "choices";
      v_first_pick0 := 0 + digit(1 - 0 + 1, choice, product, limit);
      v_first_way := v_first_pick0;
      -- <ir>:29: %x = call @bump(%way)
      v_first_givenu8 := f_bump(cpu, v_first_way);
      v_first_x := v_first_givenu8;
      -- <ir>:30: step
      n := 0; agents[a].s0 := 3;
    case 3: -- first, <ir>:30
      -- <ir>:30: enter busy
      store0((cpu + 4), ((load0((cpu + 4)) + 0) | (1 + 0)));
      -- <ir>:31: %x = call @bump(cpu)
      v_first_givenu8 := f_bump(cpu, cpu);
      v_first_x := v_first_givenu8;
      -- <ir>:32: leave busy
      store0((cpu + 4), ((load0((cpu + 4)) + 0) & ((-2) + 0)));
      -- <ir>:33: step
      n := 0; agents[a].s0 := 4;
    case 4: -- first, <ir>:33
      -- <ir>:33: store @flag:*u32, 1:u32
      g_flag := 1;
      -- <ir>:34: return
      n := agents[a].s1; agents[a].s1 := 0;
      if n = 0 then agents[a].s0 := 1 endif;
    case 5: -- second, <ir>:39
      -- <ir>:39: %x = load @flag:*u32
      v_second_x := g_flag;
      -- <ir>:40: assume ne(%x, 0:u32)
      assume (v_second_x != 0) "possible";
      -- <ir>:41: sometimes 'handed over'
      passed[0] := 1;
      -- <ir>:42: step
      n := 0; agents[a].s0 := 6;
    case 6: -- second, <ir>:42
      -- <ir>:42: rmw add @flag:*u32, 1:u32
      v_second_oldu32 := g_flag;
      g_flag := ((v_second_oldu32 + 1) % 4294967296);
      -- <ir>:43: return
      n := agents[a].s1; agents[a].s1 := 0;
      if n = 0 then agents[a].s0 := 1 endif;
    endswitch;
  endwhile;
  -- A choice that nothing asked for is one too many.
  assume choice = 0 "choices";
  cover passed[0] = 1 "handed over";
end;

startstate begin
  g_flag := 0;
  g_counts_0 := 0;
  g_counts_1 := 0;
  g_regions_0 := 0;
  g_regions_1 := 0;
  agents[0].s0 := 2;
  agents[0].s1 := 0;
  agents[1].s0 := 5;
  agents[1].s1 := 0;
end;

ruleset a: agent_t do
  rule "a step"
    agents[a].s0 != 1 & agents[a].s0 != 2 ==>
    begin run(a, 0, 1, agents[a].s0); end;
end;
ruleset a: agent_t; choice: 0..1 do
  rule "a step with 2 choices"
    agents[a].s0 = 2 ==>
    begin run(a, choice, 2, agents[a].s0); end;
end;

invariant "small, CPU 0" exempt0(0) | judge0(0);
invariant "small, CPU 1" exempt0(1) | judge0(1);
