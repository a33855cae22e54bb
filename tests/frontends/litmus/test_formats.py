"""Reading litmus tests in both formats."""

from __future__ import annotations

from pathlib import Path

import pytest

from pmaplab.errors import InputError
from pmaplab.frontends.litmus.conditions import Place
from pmaplab.frontends.litmus.files import read_tests
from pmaplab.frontends.litmus.herd import parse_herd
from pmaplab.frontends.litmus.model import Immediate, LitmusTest, Memory, Register
from pmaplab.frontends.litmus.oneline import parse_oneline
from pmaplab.frontends.litmus.source import LARGEST, LitmusSource


def herd(text: str) -> LitmusTest:
    return parse_herd(LitmusSource("t.litmus", text))


def line(text: str) -> LitmusTest:
    (test,) = parse_oneline(LitmusSource("t.txt", text))
    return test


def shape(test: LitmusTest) -> list[list[tuple[str, int, bool, list[object]]]]:
    """The code without its places."""

    def plain(operand: Immediate | Register | Memory) -> object:
        match operand:
            case Immediate(value=value):
                return value
            case Register(shown=shown):
                return shown
            case Memory(name=name, base=base):
                return [name or base]

    return [
        [(i.op, i.bits, i.locked, [plain(o) for o in i.operands]) for i in thread.code]
        for thread in test.threads
    ]


def test_one_line() -> None:
    code, condition = "P0: x=1; mf; r0=y | P1: r1=xchg(y,-2)", "0:r0=1 & y=2 || 1:r1=0"
    test = line(f"t\tforbidden\t{code}\t{condition}\twho\n")
    assert (test.name, test.published, str(test.condition)) == (
        "t",
        "forbidden",
        "~exists (0:r0=1 /\\ [y]=2 \\/ 1:r1=0)",
    )
    assert shape(test) == [
        [
            ("mov", 64, False, [1, ["x"]]),
            ("mfence", 0, False, []),
            ("mov", 64, False, [["y"], "r0"]),
        ],
        [("mov", 64, False, [-2, "r1"]), ("xchg", 64, False, ["r1", ["y"]])],
    ]
    assert set(test.variables) == {"x", "y"}


@pytest.mark.parametrize(
    ("verdict", "quantifier"),
    [("allowed", "exists"), ("forbidden", "~exists"), ("required", "forall")],
)
def test_verdict_is_a_quantifier(verdict: str, quantifier: str) -> None:
    assert line(f"t\t{verdict}\tP0: x=1\tx=1").condition.quantifier == quantifier


def test_lines_and_comments() -> None:
    rest = "allowed\tP0: x=1\tx=1\n"
    source = LitmusSource("t.txt", f"# one\n\n a \t{rest}b\t{rest}")
    assert [(test.name, test.loc.line) for test in parse_oneline(source)] == [("a", 3), ("b", 4)]


def test_herd_header_and_initial_values() -> None:
    test = herd(
        """(* before
 it all *)
X86_64 a+name.1
"a string { not yet"
Cycle=Fre {x}
{
 uint64_t x; int y=0x10; z = -1; [w]=3; unsigned char c;
 0:rax=x; uint64_t 0:rbx=5; 0:ecx=-1;
}
 P0 ;
 movq $1,(%rax) ;
exists (x=1)
"""
    )
    assert test.name == "a+name.1" and test.published is None
    found = {v.name: (v.bits, v.signed, v.initial) for v in test.variables.values()}
    assert found == {
        "x": (64, False, 0),
        "y": (32, True, 16),
        "z": (None, True, -1),
        "w": (None, True, 3),
        "c": (8, False, 0),
    }
    registers = {key: (i.value, i.address, i.signed) for key, i in test.registers.items()}
    assert registers == {
        (0, "rax"): (0, "x", True),
        (0, "rbx"): (5, None, False),
        (0, "rcx"): (0xFFFFFFFF, None, True),
    }


def test_herd_operands() -> None:
    test = herd(
        """X86_64 t
{ 0:rsi=x; }
 P0 | P1 ;
 movl $-1,(%rsi) | LOCK XADDL %EAX,[x] ;
 movl 0(%rsi),%r8d | Again: End: movl x(%rip),%r9d ;
 mov [%rsi],%edx | jnz Again ;
 (* a comment ; | *) xchg %ecx,(x) | lock cmpxchg %edx,(x) ;
 notl %eax | ;
forall (true)
"""
    )
    assert shape(test) == [
        [
            ("mov", 32, False, [-1, ["rsi"]]),
            ("mov", 32, False, [["rsi"], "r8d"]),
            ("mov", 32, False, [["rsi"], "edx"]),
            ("xchg", 32, False, ["ecx", ["x"]]),
            ("not", 32, False, ["eax"]),
        ],
        [
            ("xadd", 32, True, ["eax", ["x"]]),
            ("mov", 32, False, [["x"], "r9d"]),
            ("jne", 0, False, []),
            ("cmpxchg", 32, True, ["edx", ["x"]]),
        ],
    ]
    assert test.threads[1].labels == {"Again": 1, "End": 1}
    assert test.threads[1].code[2].target == "Again"


def test_x86_has_the_destination_first() -> None:
    code = "MOV [x],$1 ;\n MOV EAX,[x] ;\n XCHG [x],EAX"
    test = herd(f"X86 t\n{{}}\n P0 ;\n {code} ;\nexists (0:EAX=1)\n")
    assert shape(test) == [
        [
            ("mov", 32, False, [1, ["x"]]),
            ("mov", 32, False, [["x"], "eax"]),
            ("xchg", 32, False, ["eax", ["x"]]),
        ]
    ]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("exists (x=1 /\\ 0:rax=2 \\/ ~x=3)", "exists ([x]=1 /\\ 0:rax=2 \\/ not ([x]=3))"),
        ("~exists x=1 /\\ (x=2 \\/ x=3)", "~exists ([x]=1 /\\ ([x]=2 \\/ [x]=3))"),
        ("forall (not ([x]==0x10 /\\ true))", "forall (not ([x]=16 /\\ true))"),
        ("exists ((((0:%al=-1))))", "exists (0:al=-1)"),
    ],
)
def test_conditions(written: str, read: str) -> None:
    test = herd(f"X86_64 t\n{{}}\n P0 ;\n movl (x),%eax ;\n{written}\n")
    assert str(test.condition) == read


def test_locations_and_filter() -> None:
    test = herd(
        "X86_64 t\n{}\n P0 ;\n movl (x),%eax ;\n"
        "locations [x; 0:bh;]\nfilter x=1\nexists (0:eax=1)\n"
    )
    assert test.locations == (Place(-1, "x", "x"), Place(0, "bh", "rbx", 8, 8))
    assert test.filter is not None


def test_format_is_found_by_name_or_by_first_line(tmp_path: Path) -> None:
    text = "X86_64 t\r\n{}\r\n P0 ;\r\n movl $1,(x) ;\r\nexists (x=1)\r\n"
    for name, content, count in (
        ("a.litmus", text, 1),
        ("b.txt", text, 1),
        ("c.txt", "a\tallowed\tP0: x=1\tx=1\nb\tallowed\tP0: x=1\tx=1\n", 2),
        ("d.txt", "# nothing\n", 0),
    ):
        (tmp_path / name).write_text(content, newline="")
        assert len(read_tests(str(tmp_path / name))) == count


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "large").write_bytes(b"#" * (LARGEST + 1))
    for name, message in (
        ("nowhere", "no such file"),
        (".", "is a directory"),
        ("binary", "not UTF-8"),
        ("large", "no litmus test"),
        ("a\0b", "null byte"),
    ):
        with pytest.raises(InputError, match=message):
            read_tests(f"{tmp_path}/{name}")
