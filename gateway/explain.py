"""What pydantic found wrong with a value, said in our words, in both languages, at its place in the file."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from gateway.errors import Text
from gateway.fields import ID_PATTERN
from gateway.problems import KeyPath, Problem, allowed, joined
from gateway.yamlmarks import Document

_TEXT = Text("a text is needed", "需要文本")
_MAPPING = Text("a mapping is needed: lines of key: value", "需要键值对:每行一个 键: 值")
_LIST = Text('a list is needed, [a, b] or lines with "- "', '需要列表,即 [a, b] 或以 "- " 开头的多行')
_WHOLE = Text("a whole number is needed", "需要整数")
_NUMBER = Text("a number is needed", "需要数字")
_BOOL = Text("true or false is needed", "需要 true 或 false")
_DATE = Text("a date is needed, e.g. 2026-05-01", "需要日期,例如 2026-05-01")
_TIME = Text("a time is needed, e.g. 2026-05-01T08:00:00Z", "需要时间,例如 2026-05-01T08:00:00Z")
_URL = Text("a URL is needed, e.g. http://192.0.2.64", "需要 URL,例如 http://192.0.2.64")
_UUID = Text("a UUID is needed", "需要 UUID")
_CHOICE = Text("not one of the allowed values", "不是允许的值")
_FEW = Text("at least {min_length} of them", "至少 {min_length} 项")
_MANY = Text("at most {max_length} of them", "最多 {max_length} 项")
_SHORT = Text("at least {min_length} characters", "至少 {min_length} 个字符")
_LONG = Text("at most {max_length} characters", "最多 {max_length} 个字符")

SENTENCES: Mapping[str, Text] = {
    "missing": Text("this key is missing", "缺少此项"),
    "extra_forbidden": Text("not a known key", "未知的键"),
    "invalid_key": _TEXT,
    "value_error": Text("{error}", "{error}"),
    "assertion_error": Text("{error}", "{error}"),
    "none_required": Text("nothing may stand here", "此处不能有值"),
    "string_type": _TEXT,
    "string_unicode": _TEXT,
    "string_not_ascii": Text("only ASCII characters", "只能使用 ASCII 字符"),
    "string_too_short": _SHORT,
    "string_too_long": _LONG,
    "string_pattern_mismatch": Text("does not fit the pattern {pattern}", "不符合格式 {pattern}"),
    "bytes_type": _TEXT,
    "bytes_too_short": _SHORT,
    "bytes_too_long": _LONG,
    "path_type": Text("the path of a file is needed", "需要文件路径"),
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "int_parsing_size": Text("this number is too large", "数字过大"),
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": _NUMBER,
    "decimal_type": _NUMBER,
    "decimal_parsing": _NUMBER,
    "greater_than": Text("more than {gt} is needed", "必须大于 {gt}"),
    "greater_than_equal": Text("at least {ge} is needed", "不能小于 {ge}"),
    "less_than": Text("less than {lt} is needed", "必须小于 {lt}"),
    "less_than_equal": Text("at most {le} is allowed", "不能大于 {le}"),
    "multiple_of": Text("a multiple of {multiple_of} is needed", "必须是 {multiple_of} 的倍数"),
    "bool_type": _BOOL,
    "bool_parsing": _BOOL,
    "literal_error": _CHOICE,
    "enum": _CHOICE,
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "dataclass_type": _MAPPING,
    "named_tuple_type": _LIST,
    "arguments_type": _LIST,
    "dict_type": _MAPPING,
    "mapping_type": _MAPPING,
    "list_type": _LIST,
    "tuple_type": _LIST,
    "set_type": _LIST,
    "frozen_set_type": _LIST,
    "iterable_type": _LIST,
    "set_item_not_hashable": Text("plain values are needed", "需要普通值"),
    "too_short": _FEW,
    "too_long": _MANY,
    "missing_argument": _FEW,
    "date_type": _DATE,
    "date_parsing": _DATE,
    "date_from_datetime_parsing": _DATE,
    "date_from_datetime_inexact": _DATE,
    "datetime_type": _TIME,
    "datetime_parsing": _TIME,
    "datetime_from_date_parsing": _TIME,
    "datetime_object_invalid": _TIME,
    "time_type": _TIME,
    "time_parsing": _TIME,
    "timezone_aware": _TIME,
    "url_type": _URL,
    "url_parsing": _URL,
    "url_syntax_violation": _URL,
    "url_too_long": _LONG,
    "url_scheme": _URL,
    "uuid_type": _UUID,
    "uuid_parsing": _UUID,
    "is_instance_of": _CHOICE,
    "union_tag_invalid": _CHOICE,
    "union_tag_not_found": _CHOICE,
}
_PATTERNS: Mapping[str, Text] = {
    ID_PATTERN: Text(
        "a name is needed: lower-case letters, digits and -, at most 63, not beginning with -",
        "需要名称:小写字母、数字和 -,最多 63 个,不能以 - 开头",
    ),
    r"^[0-9]{6}$": Text("6 digits are needed, in quotes", "需要 6 位数字,并加引号"),
    r"^[0-9]{3}$": Text("3 digits are needed, in quotes", "需要 3 位数字,并加引号"),
    r"^[a-z0-9_-]+(/[a-z0-9_-]+)*$": Text(
        "levels of a-z, 0-9, _ and - are needed, with / between them only, e.g. sc/v1",
        "需要由 a-z、0-9、_、- 组成的层级,只在层级之间用 /,例如 sc/v1",
    ),
    r"^hmac-sha256:[A-Za-z0-9_-]{43}$": Text(
        "hmac-sha256: and 43 characters of base64url without padding are needed, never a card number",
        "需要 hmac-sha256: 加 43 个 base64url 字符(无填充),不要写卡号",
    ),
}
_QUOTES = Text("; YAML takes this for a number or a yes/no: put it in quotes", ";YAML 把它当作了数字或是/否:请加引号")
_EMPTY = Text("a value is missing after the colon", "冒号后缺少值")
_OTHER = Text("this does not fit: {msg}", "此值不合适:{msg}")
_CHOICES = re.compile(r"'([^']*)'|(-?[\w.]+)(?=,| or |$)")


def explain(document: Document, top: KeyPath, kind: Any, error: ValidationError) -> Iterator[Problem]:
    """One problem per place. `top` is where the value stands that is no `kind` (a model or another type)."""
    found: dict[tuple[KeyPath, bool], list[Text]] = {}
    for detail in error.errors(include_url=False):
        if detail["type"] == "too_short" and len(detail["input"]) >= detail["ctx"]["min_length"]:
            continue  # counted without those items that are told by themselves
        path = real_path(document.value, top, detail["loc"], detail["type"] == "missing")
        of_key = detail["type"] == "extra_forbidden" or "[key]" in detail["loc"]
        what = _say(detail)
        if detail["type"] == "extra_forbidden":
            what = joined(what, allowed(path[-1], keys_at(kind, path[len(top) : -1])))
        said = found.setdefault((path, of_key or _is_container(document.value, path)), [])
        if what not in said:
            said.append(what)
    for (path, of_key), texts in found.items():
        if not any(_related(path, broken) for broken in document.broken):
            what = Text("; or ".join(text.en for text in texts), ";或".join(text.zh for text in texts))
            yield document.problem(path, what, of_key)


def _say(detail: Mapping[str, Any]) -> Text:
    kind, context, value = detail["type"], detail.get("ctx", {}), detail["input"]
    own = getattr(context.get("error"), "text", None)
    if isinstance(own, Text):
        return own
    if value is None and kind.endswith("_type"):
        return _EMPTY
    sentence = _PATTERNS.get(context.get("pattern", "")) or SENTENCES.get(kind, _OTHER)
    words = {**context, "msg": detail["msg"]}
    said = Text(sentence.en.format_map(words), sentence.zh.format_map(words))
    if kind in ("literal_error", "enum"):
        return joined(said, allowed(value, choices(context["expected"])))
    if kind == "string_type" and isinstance(value, bool | int | float):
        return joined(said, _QUOTES)
    return said


def choices(expected: str) -> list[str]:
    """pydantic's `'N', 'E' or 'O'` → `["N", "E", "O"]`."""
    return [quoted or plain for quoted, plain in _CHOICES.findall(expected)]


def real_path(whole: Any, top: KeyPath, loc: Sequence[str | int], missing: bool = False) -> KeyPath:
    """`top` and those steps of `loc` that stand in the file: pydantic also names branches of unions, and `[key]`."""
    value = whole
    for step in top:
        value = value[step]
    path = list(top)
    for number, step in enumerate(loc):
        name = str(step) if isinstance(value, dict) else step
        if _holds(value, name):
            path.append(name)
            value = value[name]
        elif missing and number == len(loc) - 1:
            path.append(step)
    return tuple(path)


def _holds(value: Any, step: Any) -> bool:
    if isinstance(value, list):
        return isinstance(step, int) and 0 <= step < len(value)
    return isinstance(value, dict) and step in value


def keys_at(kind: Any, path: KeyPath) -> list[str]:
    """The keys of the model that stands at `path` below `kind`, a model or a type made of models."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        fields = {info.alias or name: info for name, info in kind.model_fields.items()}
        if not path:
            return list(fields)
        return keys_at(fields[str(path[0])].annotation, path[1:]) if path[0] in fields else []
    inside = get_args(kind)
    if get_origin(kind) in (dict, list, tuple, Mapping):
        inside, path = (inside[-1:] if len(inside) == 2 and inside[-1] is not Ellipsis else inside[:1]), path[1:]
    return [key for item in inside for key in keys_at(item, path)]


def _is_container(whole: Any, path: KeyPath) -> bool:
    """A section's own trouble is shown at its key, as its first value may stand lines below."""
    for step in path:
        if not _holds(whole, step):
            return False
        whole = whole[step]
    return isinstance(whole, dict | list)


def _related(path: KeyPath, broken: KeyPath) -> bool:
    """Is one of the two inside the other?"""
    shorter = min(len(path), len(broken))
    return path[:shorter] == broken[:shorter]
