"""The words of e-mails about notices, in the languages of the console's pages."""

from bridge.notices.languages import language_of

# By language: the subject of a notice by its type; {} is what it is about.
_SUBJECTS = {
    "en": {
        "call.ended": "Call ended: {}",
        "call.failed": "Call failed: {}",
        "lead.created": "New lead: {}",
        "appointment.booked": "Appointment booked: {}",
        "appointment.moved": "Appointment moved: {}",
        "appointment.cancelled": "Appointment cancelled: {}",
        "limit.reached": "Limit reached: {}",
        "person.wanted": "Somebody wants to write with a person: {}",
        "test": "Test notice",
    },
    "he": {
        "call.ended": "שיחה הסתיימה: {}",
        "call.failed": "שיחה נכשלה: {}",
        "lead.created": "פנייה חדשה: {}",
        "appointment.booked": "נקבע תור: {}",
        "appointment.moved": "תור הוזז: {}",
        "appointment.cancelled": "תור בוטל: {}",
        "limit.reached": "מגבלה הושגה: {}",
        "person.wanted": "מישהו מבקש להתכתב עם אדם: {}",
        "test": "הודעת ניסיון",
    },
    "ar": {
        "call.ended": "انتهت مكالمة: {}",
        "call.failed": "فشلت مكالمة: {}",
        "lead.created": "عميل محتمل جديد: {}",
        "appointment.booked": "حُجز موعد: {}",
        "appointment.moved": "نُقل موعد: {}",
        "appointment.cancelled": "أُلغي موعد: {}",
        "limit.reached": "بُلغ الحد: {}",
        "person.wanted": "يرغب شخص في مراسلة إنسان: {}",
        "test": "إشعار تجريبي",
    },
}
# By the name of a field: the words in English, Hebrew and Arabic. What the business
# calls a field of a lead stays as the business calls it.
_FIELDS = {
    "appointment_id": ("Appointment", "תור", "الموعد"),
    "call_sid": ("Call", "שיחה", "المكالمة"),
    "caller_verified": ("Number is proven", "המספר מוכח", "الرقم مثبت"),
    "conversation_id": ("Conversation", "התכתבות", "المحادثة"),
    "end_reason": ("Ended by", "סיבת הסיום", "سبب الانتهاء"),
    "ended_at": ("Ended", "הסתיים", "انتهى"),
    "ends_at": ("Ends", "עד", "ينتهي"),
    "fields": ("Known", "ידוע", "المعلومات"),
    "from": ("From", "מאת", "من"),
    "id": ("Number", "מספר", "الرقم"),
    "is_test": ("Test call", "שיחת ניסיון", "مكالمة تجريبية"),
    "lead_id": ("Lead", "פנייה", "العميل المحتمل"),
    "limit": ("Limit", "מגבלה", "الحد"),
    "message": ("Message", "הודעה", "الرسالة"),
    "missing_fields": ("Still missing", "עוד חסר", "ما زال ناقصًا"),
    "moved_from": ("Moved from", "הוזז מ", "نُقل من"),
    "name": ("Name", "שם", "الاسم"),
    "outcome": ("Outcome", "תוצאה", "النتيجة"),
    "phone": ("Phone", "טלפון", "الهاتف"),
    "reason": ("Reason", "סיבה", "السبب"),
    "service": ("Service", "שירות", "الخدمة"),
    "started_at": ("Began", "התחילה", "بدأت"),
    "starts_at": ("Begins", "מתחיל", "يبدأ"),
    "to": ("To", "אל", "إلى"),
}
_PLACES = {"en": 0, "he": 1, "ar": 2}
_TRUTHS = {
    True: ("yes", "כן", "نعم"),
    False: ("no", "לא", "لا"),
}


def subject_of(type_: str, about: str, language: str) -> str:
    """Return the subject of a notice; `language` is the business's."""
    subjects = _SUBJECTS[language_of(language)]
    return subjects.get(type_, type_).format(about)


def field_of(name: str, language: str) -> str:
    """Return what a field is called."""
    words = _FIELDS.get(name)
    return name if words is None else words[_PLACES[language_of(language)]]


def truth_of(value: bool, language: str) -> str:
    """Return yes or no."""
    return _TRUTHS[value][_PLACES[language_of(language)]]
