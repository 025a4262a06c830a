"""Where made-up people live, and what they are called."""

from __future__ import annotations

import unicodedata
from typing import Final, NamedTuple


class Word(NamedTuple):
    """A name, and how its bearer writes it in a username."""

    text: str
    handle: str


class Region(NamedTuple):
    """People who share a numbering plan and a stock of names."""

    percent: int
    country_code: str
    first_phone_number: int
    """User number n has the phone number `+` and this plus n: there is room for five million."""
    timezones: tuple[str, ...]
    women: tuple[Word, ...]
    men: tuple[Word, ...]
    families: tuple[Word, ...]


def _words(text: str) -> tuple[Word, ...]:
    """Words apart by spaces; `name=handle` where the handle is not just the name without its accents."""
    found: list[Word] = []
    for word in text.split():
        name, _, handle = word.partition("=")
        plain = unicodedata.normalize("NFKD", handle or name).lower()
        found.append(Word(name.replace("_", " "), "".join(letter for letter in plain if "a" <= letter <= "z")))
    return tuple(found)


INDIA: Final = Region(
    80,
    "+91",
    919000000000,
    ("Asia/Kolkata",),
    _words("Asha Priya Ananya Diya Kavya Meera Nisha Pooja Riya Sneha Lakshmi Fatima Zoya Harpreet Ishita Tanvi Aisha"),
    _words(
        "Arjun Aarav Rohan Vikram Rahul Sanjay Kiran Imran Gurpreet Karthik Aditya Manoj Farhan Joseph Nikhil Suresh"
    ),
    _words(
        "Rao Sharma Patel Iyer Nair Reddy Singh Khan Das Gupta Mehta Bose Kulkarni Pillai Chatterjee Fernandes Joshi"
        " Verma Naidu Shetty Ansari D'Souza Mukherjee Yadav"
    ),
)

REGIONS: Final = (
    INDIA,
    Region(
        4,
        "+91",
        919000000000,
        ("Asia/Kolkata",),
        _words("आशा=asha प्रिया=priya मीरा=meera कविता=kavita"),
        _words("अर्जुन=arjun राहुल=rahul संजय=sanjay देव=dev"),
        _words("शर्मा=sharma वर्मा=verma सिंह=singh गुप्ता=gupta"),
    ),
    Region(
        3,
        "+880",
        8801700000000,
        ("Asia/Dhaka",),
        _words("Nusrat Farzana Sadia Tahmina"),
        _words("Tanvir Rakib Shakib Mahmud"),
        _words("Rahman Hossain Chowdhury Akter"),
    ),
    Region(
        2,
        "+977",
        9779800000000,
        ("Asia/Kathmandu",),
        _words("Sita Sunita Binita"),
        _words("Bishal Suman Prakash"),
        _words("Gurung Thapa Shrestha Tamang"),
    ),
    Region(
        3,
        "+971",
        971500000000,
        ("Asia/Dubai",),
        _words("Layla Mariam Noor"),
        _words("Ahmed Omar Yusuf"),
        _words("Al_Farsi Haddad Mansour Saleh"),
    ),
    Region(
        2,
        "+65",
        6580000000,
        ("Asia/Singapore",),
        _words("Wei_Ling Siti Mei"),
        _words("Jun_Jie Haziq Wei_Ming"),
        _words("Tan Lim Ng Abdullah"),
    ),
    Region(
        2,
        "+44",
        447400000000,
        ("Europe/London",),
        _words("Emma Olivia Zoë Siobhán"),
        _words("Oliver Noah Seán Harry"),
        _words("Smith Jones O'Brien Taylor-Reid"),
    ),
    Region(
        2,
        "+1",
        16462000000,
        ("America/New_York", "America/Chicago", "America/Los_Angeles"),
        _words("Mia Ava Renée Sofía"),
        _words("Liam Mason José Elijah"),
        _words("Johnson García Nguyen Núñez"),
    ),
    Region(
        1,
        "+49",
        4915100000000,
        ("Europe/Berlin",),
        _words("Jürgen=juergen Anneliese Özlem"),
        _words("Björn Łukasz=lukasz Max"),
        _words("Müller Weiß=weiss Schröder Özdemir"),
    ),
    Region(
        1,
        "+55",
        5511900000000,
        ("America/Sao_Paulo",),
        _words("Ana Beatriz Conceição"),
        _words("João Thiago André"),
        _words("Gonçalves Silva Araújo"),
    ),
)
"""All of them; their percents make 100."""

BIOS: Final = (
    "Here for the music rooms.",
    "Chai, cricket and long calls.",
    "Software by day, ghazals by night.",
    "New here, say hello!",
    "Learning Kannada, one room at a time.",
    "Ask me about trains 🚆",
    "Night owl. I listen more than I talk.",
    "Student of history; fond of bad puns.",
    "Mother of two, singer of none 🎤",
    "बातें करना पसंद है।",
    "I teach mathematics and answer on Sundays only.",
    "Films, films, films.\nAnd sometimes books.",
)

HOST_NOTES: Final = (
    "I speak Hindi, Tamil and English.",
    "Evenings after eight, and all of Sunday.",
    "Three years on the radio.",
    "I listen well, my friends say.",
)
REVIEW_NOTES: Final = (
    "Please ask again with a photo that shows your face.",
    "The name differs from the one in your document.",
    "The recording could not be understood.",
)


class Notice(NamedTuple):
    """What a service tells a user."""

    type: str
    title: str
    body: str


NOTICES: Final = (
    Notice("account.welcome", "Welcome to Banter", "Say hello in a room, or call a host."),
    Notice("account.profile", "Your profile is almost complete", "A picture helps people to find you."),
    Notice("news.rooms", "Music rooms are here", "Sing along tonight at nine 🎤"),
    Notice("news.languages", "नई भाषाएँ", "अब हिन्दी में भी।"),
    Notice("safety.tip", "Keep your number to yourself", "Nobody from Banter will ever ask for it."),
)
