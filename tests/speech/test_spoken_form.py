"""What is written in digits, signs and abbreviations, as it is said: a table of siblings for each kind."""

from __future__ import annotations

import pytest

from parler_assets.speech.text import spoken_form
from parler_assets.speech.text.normalise import unspoken

ENGLISH = {
    # years, decades, dates
    "1984": "nineteen eighty-four",
    "In 2005, then 2010.": "In two thousand and five, then twenty ten.",
    "the '90s and the 1960s": "the nineties and the nineteen sixties",
    "1990–1995": "nineteen ninety to nineteen ninety-five",
    "May 3, 1984 was fun": "May third, nineteen eighty-four was fun",
    "The 3rd of May 2024": "The third of May twenty twenty-four",
    "on 3 May": "on the third of May",
    "Sept. 11, 2001": "September eleventh, two thousand and one",
    "2021-05-04": "May fourth twenty twenty-one",
    "25/4/2021": "April twenty-fifth twenty twenty-one",
    "5/4/2021": "five four twenty twenty-one",
    "Dec 25th, Jan 5 and Mar. 3": "December twenty-fifth, January fifth and March third",
    "Jan-05-2020": "January fifth twenty twenty",
    "5-Jan-2020, 5 Jan 2020": "the fifth of January twenty twenty, the fifth of January twenty twenty",
    "2020/12/25 and 2020-1-5": "December twenty-fifth twenty twenty and January fifth twenty twenty",
    "on 5/12, 9/11": "on five twelve, nine eleven",
    "1980-81, 1980/81": "nineteen eighty to eighty-one, nineteen eighty eighty-one",
    # years and counts
    "1984 people": "one thousand nine hundred and eighty-four people",
    "In 1984 people left": "In nineteen eighty-four people left",
    "the 1984 elections": "the nineteen eighty-four elections",
    "1984 kg, $1984": "one thousand nine hundred and eighty-four kilograms, "
    "one thousand nine hundred and eighty-four dollars",
    "from 1984 to 1985": "from nineteen eighty-four to nineteen eighty-five",
    # times
    "10:30pm": "ten thirty PM",
    "at 3:30pm, then": "at three thirty PM, then",
    "10.30 am": "ten thirty AM",
    "5-6 pm, 9am-5pm": "five to six PM, nine AM to five PM",
    "5:30-6:15": "five thirty to six fifteen",
    "12:30:15": "twelve thirty fifteen",
    "10:05": "ten oh five",
    "at 5:30 p.m.": "at five thirty PM.",
    "10 a.m. today": "ten AM today",
    "5:00": "five o'clock",
    "17:45": "seventeen forty-five",
    # money
    "$12.50": "twelve dollars and fifty cents",
    "$1": "one dollar",
    "$0.99": "ninety-nine cents",
    "£3bn & €20": "three billion pounds and twenty euros",
    "$1.5 million": "one point five million dollars",
    "$5–$10": "five to ten dollars",
    "-$5": "minus five dollars",
    "20 USD": "twenty dollars",
    "R$ 10, ₩1000 and Rs. 500": "ten reais, one thousand won and five hundred rupees",
    "1,50 € and 12,50 €": "one euro and fifty cents and twelve euros and fifty cents",
    "50¢": "fifty cents",
    "$10k, $3.50/lb": "ten thousand dollars, three dollars and fifty cents per pound",
    # addresses, hashtags, pictures
    "john.doe@example.com": "john dot doe at example dot com",
    "See https://example.com/a.": "See example dot com slash a.",
    "www.foo-bar.org/x_y": "foo dash bar dot org slash x underscore y",
    "#MeToo and #winter2020": "hashtag Me Too and hashtag winter twenty twenty",
    "I ❤️ you 😀!": "I you!",
    "smile 👍🏽, ok": "smile, ok",
    # telephone and other numbers in groups
    "+44 20 7946 0958": "plus four four, two zero, seven nine four six, zero nine five eight",
    "(555) 123-4567": "five five five, one two three, four five six seven",
    "0800 123 456": "zero eight zero zero, one two three, four five six",
    "555.123.4567": "five five five, one two three, four five six seven",
    "1-800-555-1234": "one, eight zero zero, five five five, one two three four",
    "ISBN 978-3-16": "ISBN nine seven eight, three, one six",
    # measures and signs
    "25 m²": "twenty-five square meters",
    "x², 10^6": "x squared, ten to the power of six",
    "5x5, 3x": "five by five, three times",
    "2:1, 16:9": "two to one, sixteen to nine",
    "~5, <5 and >5": "about five, less than five and more than five",
    "5 kg, 3.5 m": "five kilograms, three point five meters",
    "1 km": "one kilometer",
    "10km/h": "ten kilometers per hour",
    "-5 °C": "minus five degrees Celsius",
    "He was 6 ft. tall": "He was six feet tall",
    "5'10\" tall": "five foot ten tall",
    "99.9%": "ninety-nine point nine percent",
    "x = 5 + 3": "x equals five plus three",
    "A&B": "A and B",
    # numbers
    "1,234,567 people": "one million two hundred and thirty-four thousand five hundred and sixty-seven people",
    "3.14, 0.5, .5": "three point one four, zero point five, point five",
    "-3 and −3": "minus three and minus three",
    "pages 10-20": "pages ten to twenty",
    "the 21st, 2nd and 13th": "the twenty-first, second and thirteenth",
    "½ cup, 2 1/2 cups, 3/4": "one half cup, two and a half cups, three quarters",
    "007": "zero zero seven",
    "Call 555-1234.": "Call five five five, one two three four.",
    "24/7": "twenty-four seven",
    "v2.0": "v two point zero",
    "MP3, B2B, COVID-19, F-16": "MP three, B two B, COVID nineteen, F sixteen",
    "a 10-year-old": "a ten-year-old",
    "one, 2, 3.": "one, two, three.",
    "v1.2.3, version 2.0": "v one point two point three, version two point zero",
    "1000000, 1 000 000, 200 000": "one million, one million, two hundred thousand",
    "1,00,000": "one hundred thousand",
    "-10–-5": "minus ten to minus five",
    "Boeing 747-400": "Boeing seven hundred and forty-seven four hundred",
    # abbreviations and Roman numerals
    "King Henry VIII, Pope John Paul II": "King Henry the eighth, Pope John Paul the second",
    "36th St., 5th Ave.": "thirty-sixth Street, fifth Avenue.",
    "Dr. Smith vs. Mr Jones": "Doctor Smith versus Mister Jones",
    "St. James St.": "Saint James Street",
    "e.g. cats, etc.": "for example cats, et cetera.",
    "No. 5 and #1": "Number five and number one",
    "Chapter IV": "Chapter four",
    "Smith Jr. said": "Smith Junior said",
}
UNTOUCHED = [
    "Hello there, Anna-Marie's friend; it's *really* (very) good -- isn't it?",
    "The U.S. is here. No, thanks.",
    "Was meinst du — “so”?",
    "*Blimy* are you threatening me?",
    "",
    "   ",
    "Ünïcode, 中文, русский",
    "Louis XIV, Malcolm X and I",
    "and/or, he/she, e-mail",
]
OTHERS = [
    ("de", "1984 kostete es 12,50 € und 1.234,5 kg.",
     "neunzehnhundertvierundachtzig kostete es zwölf Euro fünfzig und "
     "eintausendzweihundertvierunddreißig Komma fünf Kilogramm."),
    ("de", "am 4. Mai 1984 um 17:45",
     "am vierten Mai neunzehnhundertvierundachtzig um siebzehn Uhr fünfundvierzig"),
    ("de", "z. B. ca. 5 % & 1 kg", "zum Beispiel circa fünf Prozent und ein Kilogramm"),
    ("de-AT", "4.5.2021", "vierter Mai zweitausendeinundzwanzig"),
    ("fr", "Il est 17:30, 12,50 € et 1 234 kg", "Il est dix-sept heures trente, douze euros cinquante et "
     "mille deux cent trente-quatre kilogrammes"),
    ("es", "3 kg por 5 €", "tres kilogramos por cinco euros"),
    ("pl", "5 kg, -5", "pięć kilogramów, minus pięć"),
    ("pt-BR", "12,5 km", "doze vírgula cinco quilômetros"),
    ("nl", "21 mensen", "eenentwintig mensen"),
]  # fmt: skip


@pytest.mark.parametrize("written", ENGLISH)
def test_english_as_it_is_said(written: str):
    said = spoken_form(written)
    assert said == ENGLISH[written]
    assert spoken_form(said) == said, "words stay as they are"


@pytest.mark.parametrize("written", UNTOUCHED)
def test_what_needs_no_word_is_left_alone(written: str):
    assert spoken_form(written) == written


LONG = ["1", "1 ", "1,111", "1.1", "1-1-", "$", "111 ", "1:1 ", "a@b.", "# ", "+1 ", "http://", "(1) ", "Mr. "]


@pytest.mark.parametrize("repeated", LONG)
def test_any_length_is_read_in_proportion_to_it(repeated: str):
    """Twenty thousand characters without an end: 36 s before, and a timeout of the suite where it grows again."""
    said = spoken_form(repeated * (20_000 // len(repeated)))
    assert not any(map(str.isdecimal, said))


@pytest.mark.parametrize(("language", "written", "said"), OTHERS)
def test_other_languages(language: str, written: str, said: str):
    assert spoken_form(written, language) == said


@pytest.mark.parametrize("language", ["zh", "sw", "xx"])
def test_numbers_without_words_stay_and_are_found(language: str):
    assert spoken_form("a 12 b", language) == "a 12 b"
    assert unspoken("a 12 b", language) == "12"
    assert unspoken("a 12 b", "de") is None
