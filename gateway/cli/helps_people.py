"""Helps in Chinese of `gateway people`; see `helps.py`."""

from collections.abc import Mapping

HELPS: Mapping[str, str] = {
    "Who may use the page.": "管理可登录本地网页的人员。",
    "The sign-in name.": "登录名。",
    "List who may sign in.": "列出可登录的人员。",
    "With their role, their last sign-in, and how many sessions they have.": "显示角色、最近登录时间和当前登录数。",
    "What they are.": "角色:duty 值班员、manager 物业经理、installer 安装员、auditor 审计员。",
    "Their name as others see it.": "姓名(显示给其他人)。",
    "Add a person.": "添加人员。",
    "The password is asked for, or read from standard input.": "密码在提示后输入,或从标准输入读取。",
    "Give a person another password.": "为人员重设密码。",
    "It is asked for, or read from standard input. Whoever is signed in by the old one is signed out.": (
        "密码在提示后输入,或从标准输入读取。用旧密码登录的将全部退出。"
    ),
    "Remove a person, who is signed out at once.": "删除人员,该人员立即退出登录。",
    "Let a person try again at once, after too many wrong passwords.": "解除因密码错误过多造成的锁定。",
    "Make another one; the old one is void.": "重新生成设置码,旧码作废。",
    "Show the set-up code, while nobody has an account.": "显示设置码(尚无账号时)。",
    "With it the first person is made, on the page.": "用于在网页上创建第一个账号。",
}
