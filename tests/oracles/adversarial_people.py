"""Invents people for adversarial.py: identifiers that occur nowhere else, and the many forms in which they turn up in text.

Everything comes from one seeded generator; nothing is taken from a real person or place.
"""

import unicodedata

LATIN = ["br", "dr", "f", "gl", "h", "k", "kv", "l", "m", "pr", "r", "sk", "t", "tr", "v", "z"]
VOWELS = "aeiou"
ENDS = ["ck", "ld", "nth", "rg", "rsk", "sz", "tz", "vik", "wyn", "x"]
# Specific Character Set -> (the Python codec that can write it all, letters of its script).
SCRIPTS = {
    "": ("ascii", ""),
    "ISO_IR 100": ("latin-1", "åäöüéèçñßø"),
    "ISO_IR 101": ("iso8859_2", "ąčęłńśžőř"),
    "ISO_IR 144": ("iso8859_5", "абвгдежзиклмнопрстуф"),
    "ISO_IR 126": ("iso8859_7", "αβγδεζηθικλμνξοπρστ"),
    "ISO_IR 138": ("iso8859_8", "אבגדהוזחטילמנסעפצקרש"),
    "ISO_IR 127": ("iso8859_6", "ابتثجحخدذرزسشصضطظعغ"),
    "ISO_IR 148": ("iso8859_9", "ğışöüç"),
    "ISO_IR 166": ("iso8859_11", "กขคงจฉชซดตถทนบปผพฟ"),
    "ISO_IR 13": ("shift_jis", "ｱｲｳｴｵｶｷｸｹｺｻｼｽｾｿ"),
    "ISO_IR 192": ("utf-8", "őżğабвأب橘典홍길동ïé"),
    "\\ISO 2022 IR 87": ("iso2022_jp", "山田太郎橘典幸松竹梅森林清水"),
    "ISO 2022 IR 13\\ISO 2022 IR 87": ("iso2022_jp", "山田太郎橘典幸松竹梅森林清水"),
    "\\ISO 2022 IR 149": ("euc_kr", "홍길동김이박최정강조윤장"),
    "\\ISO 2022 IR 58": ("gb2312", "张小东王李赵钱孙周吴郑"),
    "\\ISO 2022 IR 100": ("latin-1", "åäöüéèçñß"),
    "GB18030": ("gb18030", "张小东王李赵钱孙周吴郑"),
    "GBK": ("gbk", "张小东王李赵钱孙周吴郑"),
}
CODECS = ["utf-8", "latin-1", "utf-16-le", "utf-16-be", "shift_jis", "euc_jp", "iso2022_jp", "gb18030", "euc_kr", "iso8859_5",
          "iso8859_7", "iso8859_8", "iso8859_6", "iso8859_9", "iso8859_11", "iso8859_2"]


def folded(text):
    text = unicodedata.normalize("NFKD", text).casefold()
    return "".join(c for c in text if not unicodedata.combining(c))


def word(rng, extra=""):
    """Returns an invented capitalised word of eight letters or more; `extra` letters are strewn in."""
    out = "".join(rng.choice(LATIN) + rng.choice(VOWELS) for _ in range(3)) + rng.choice(ENDS)
    if extra:
        at = rng.randrange(2, len(out))
        out = out[:at] + rng.choice(extra) + out[at:]
    return out.capitalize()


def digits(rng, count):
    return str(rng.randrange(1, 10)) + "".join(str(rng.randrange(10)) for _ in range(count - 1))


class Person:
    """One patient with house, doctors, numbers; `tokens` may stand nowhere in an output."""

    def __init__(self, rng, charset):
        self.rng, self.charset = rng, charset
        self.codec, letters = SCRIPTS[charset]
        latin = letters and letters[0] in "åąğ" and len(letters) < 12
        plain = [word(rng) for _ in range(11)]
        self.surname, self.given = (word(rng, letters), word(rng, letters)) if latin else (plain[9], plain[10])
        if rng.random() < 0.25:
            self.surname += "-" + word(rng)
        self.middle, self.birth_name, self.mother = plain[0:3]
        self.doctor, self.doctor_given, self.operator, self.reader = plain[3:7]
        self.town, self.street = plain[7], plain[8]
        self.house = word(rng)
        self.third = word(rng)
        self.native = "" if latin or not letters else "".join(rng.choice(letters) for _ in range(3))
        self.native_given = "" if latin or not letters else "".join(rng.choice(letters) for _ in range(3))
        self.name = f"{self.surname}^{self.given}^{self.middle}"
        if self.native:
            whole = f"{self.native}^{self.native_given}"
            self.name = f"{self.name}={whole}" if "87" in charset or "149" in charset or "58" in charset else \
                rng.choice([f"{self.name}={whole}", whole])
            if charset == "ISO 2022 IR 13\\ISO 2022 IR 87":
                self.name = f"ﾔﾏﾀﾞ^ﾀﾛｳ={whole}"
        letters2 = "".join(rng.choice("ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(4))
        self.id = rng.choice([f"{letters2}-{digits(rng, 6)}", digits(rng, 9), f"{letters2}{digits(rng, 5)}/{digits(rng, 2)}"])
        self.other_id = f"NHS-{digits(rng, 3)}-{digits(rng, 3)}-{digits(rng, 4)}"
        self.accession = f"A{digits(rng, 9)}"
        self.study_id = f"S{digits(rng, 8)}"
        self.serial = f"SN-{letters2[:2]}{digits(rng, 6)}"
        self.station = f"{self.house[:6].upper()}-{rng.choice(['CT', 'MR', 'XR'])}{digits(rng, 2)}"
        self.phone = f"+{digits(rng, 2)} {digits(rng, 4)} {digits(rng, 6)}"
        self.email = f"{folded(self.given)}.{folded(self.surname)}@{self.house.lower()}.example"
        self.address = f"{digits(rng, 2)} {self.street} Road, {self.town}"
        self.birth = (rng.randrange(1926, 1990), rng.randrange(1, 13), rng.randrange(13, 29))
        self.day = (rng.randrange(2001, 2022), rng.randrange(1, 13), rng.randrange(13, 29))
        self.uid_root = f"1.2.826.0.1.{digits(rng, 7)}.{digits(rng, 6)}"
        self.serials = 0

    def uid(self):
        self.serials += 1
        return f"{self.uid_root}.{self.date(self.day)}.{self.serials}"

    @staticmethod
    def date(day):
        return f"{day[0]:04}{day[1]:02}{day[2]:02}"

    def tokens(self):
        """Strings of six characters or more that may stand nowhere; two characters suffice outside ASCII."""
        names = [self.surname, self.given, self.middle, self.birth_name, self.mother, self.doctor, self.doctor_given,
                 self.operator, self.reader, self.town, self.street, self.house, self.third, self.native, self.native_given,
                 self.id, self.other_id, self.accession, self.study_id, self.serial, self.station, self.phone, self.email,
                 self.id.replace("-", ""), self.other_id.replace("-", ""), self.phone.replace(" ", ""), self.uid_root]
        names += self.surname.split("-")
        days = []
        for year, month, day in (self.birth, self.day):
            days += [f"{year:04}{month:02}{day:02}", f"{year:04}-{month:02}-{day:02}", f"{day:02}.{month:02}.{year:04}",
                     f"{month:02}/{day:02}/{year:04}", f"{day:02}{month:02}{year:04}", f"{day} {MONTHS[month - 1]} {year}"]
        plain = [folded(name) for name in names if name]
        return {name for name in [*names, *plain, *days] if len(name) >= 6 or name and not name.isascii() and len(name) >= 2}

    def texts(self):
        """Forms in which an identifier stands in a text, each to be removed wherever it is found."""
        year, month, day = self.birth
        return [
            self.surname, self.surname.upper(), self.surname.lower(), folded(self.surname), self.given,
            f"{self.surname}, {self.given}", f"{self.given} {self.surname}", f"{self.surname}^{self.given}",
            f"for {self.surname}", f"OLD{folded(self.surname).upper()}", f"x_{self.surname}_y", f"{self.given[0]}. {self.surname}",
            f"{self.surname[0]}.{self.surname}", self.id, self.id.replace("-", " "), f"no{self.id.lower()}", self.accession.lower(),
            self.other_id.replace("-", ""), self.serial.lower(), self.serial.replace("-", ""), self.station,
            self.phone, self.phone.replace(" ", "-"), self.phone.replace(" ", ""), self.email, f"http://{self.house.lower()}.example/x",
            self.address, f"{self.street} Rd", self.town.upper(), f"{self.house} Hospital", f"Dr {self.third}",
            f"Dr. {self.doctor}", f"{self.third}^{self.given}", f"Mrs {self.third}", f"{self.third}, {self.given}",
            f"{year:04}{month:02}{day:02}", f"{year:04}-{month:02}-{day:02}", f"{day:02}.{month:02}.{year:04}",
            f"{month:02}/{day:02}/{year:04}", f"{day} {MONTHS[month - 1]} {year}", f"born {year}", "aged 94", "094 yo",
            self.uid(), f"STANDARD\0{self.surname}", f"STANDARD  {self.surname}", f"AXIAL\t{self.given}",
            f"{self.operator} did it", f"read by {self.reader}", f"mother {self.mother}", f"née {folded(self.birth_name)}",
        ] + ([self.native + self.native_given, f"x {self.native_given} y"] if self.native else [])


MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def encodings(token):
    """Returns the token's bytes in every encoding, lower-cased, four bytes or longer; without the escapes of ISO 2022."""
    found = set()
    for codec in CODECS:
        try:
            raw = token.encode(codec)
        except UnicodeEncodeError:
            continue
        raw = raw.replace(b"\x1b$B", b"").replace(b"\x1b(B", b"")
        if len(raw) >= 4:
            found.add(raw.lower())
    return found
