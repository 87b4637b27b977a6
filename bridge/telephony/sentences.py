"""The default sentences that a caller hears in their own language.

They apply where a business has written none. The module is pure data by ISO 639-1. The
fallback sentence is spoken by Twilio in its own voice, and exists in every language
that Twilio's <Say> is known to speak (`bridge.telephony.twiml`). The greeting is spoken
by the model word for word, and exists in some more languages.
"""

# "Sorry, we cannot take your call right now. Please call again later."
SORRY = {
    "af": "Jammer, ons kan nie nou u oproep beantwoord nie. Bel asseblief later weer.",
    "am": "ይቅርታ፣ አሁን ጥሪዎን መቀበል አንችልም። እባክዎ ቆየት ብለው እንደገና ይደውሉ።",
    "ar": "عذرًا، لا يمكننا الرد على مكالمتكم الآن. يرجى الاتصال مرة أخرى لاحقًا.",
    "bg": "Съжаляваме, в момента не можем да приемем обаждането ви. Моля, обадете се "
    "отново по-късно.",
    "bn": "দুঃখিত, এই মুহূর্তে আমরা আপনার কল ধরতে পারছি না। অনুগ্রহ করে পরে আবার কল করুন।",
    "ca": "Ho sentim, ara mateix no podem atendre la seva trucada. Si us plau, torni "
    "a trucar més tard.",
    "cs": "Omlouváme se, váš hovor teď nemůžeme přijmout. Zavolejte prosím později.",
    "cy": "Mae'n ddrwg gennym, ni allwn ateb eich galwad ar hyn o bryd. Ffoniwch eto "
    "yn nes ymlaen, os gwelwch yn dda.",
    "da": "Beklager, vi kan ikke tage imod dit opkald lige nu. Ring venligst igen "
    "senere.",
    "de": "Wir können Ihren Anruf gerade nicht annehmen. Bitte rufen Sie später an.",
    "el": "Λυπούμαστε, δεν μπορούμε να απαντήσουμε στην κλήση σας αυτή τη στιγμή. "
    "Παρακαλούμε καλέστε ξανά αργότερα.",
    "en": "Sorry, we cannot take your call right now. Please call again later.",
    "es": "Lo sentimos, ahora no podemos atenderle. Por favor, llame más tarde.",
    "et": "Vabandust, me ei saa praegu teie kõnele vastata. Palun helistage hiljem "
    "uuesti.",
    "eu": "Barkatu, orain ezin dugu zure deia hartu. Mesedez, deitu berriro geroago.",
    "fi": "Pahoittelemme, emme voi juuri nyt vastata puheluunne. Soittakaa myöhemmin "
    "uudelleen.",
    "fr": "Désolé, nous ne pouvons pas vous répondre. Merci de rappeler plus tard.",
    "gl": "Sentímolo, agora non podemos atender a súa chamada. Por favor, chame máis "
    "tarde.",
    "gu": "માફ કરશો, અત્યારે અમે તમારો કૉલ લઈ શકતા નથી. કૃપા કરીને થોડી વાર પછી ફરી "
    "કૉલ કરો.",
    "he": "מצטערים, איננו יכולים לענות כרגע. אנא התקשרו שוב מאוחר יותר.",
    "hi": "क्षमा करें, अभी हम आपकी कॉल नहीं ले सकते। कृपया थोड़ी देर बाद फिर से कॉल करें।",
    "hr": "Žao nam je, trenutačno ne možemo odgovoriti na vaš poziv. Molimo nazovite "
    "ponovno kasnije.",
    "hu": "Elnézést kérünk, most nem tudjuk fogadni a hívását. Kérjük, hívjon később.",
    "id": "Maaf, saat ini kami tidak dapat menerima telepon Anda. Silakan telepon "
    "lagi nanti.",
    "is": "Því miður getum við ekki svarað símtalinu núna. Vinsamlegast hringdu "
    "aftur síðar.",
    "it": "Ci dispiace, ora non possiamo rispondere. Richiami più tardi, per favore.",
    "ja": ""
    "申し訳ございません。ただいま電話に出ることができません。後ほどおかけ直しください。",
    "kn": "ಕ್ಷಮಿಸಿ, ಈಗ ನಿಮ್ಮ ಕರೆಯನ್ನು ಸ್ವೀಕರಿಸಲು ಆಗುತ್ತಿಲ್ಲ. ದಯವಿಟ್ಟು ಸ್ವಲ್ಪ ಸಮಯದ ನಂತರ ಮತ್ತೆ ಕರೆ ಮಾಡಿ.",
    "ko": "죄송합니다. 지금은 전화를 받을 수 없습니다. 나중에 다시 걸어 주세요.",
    "lt": "Atsiprašome, šiuo metu negalime atsiliepti. Prašome paskambinti vėliau.",
    "lv": "Atvainojiet, pašlaik nevaram atbildēt uz jūsu zvanu. Lūdzu, zvaniet vēlāk.",
    "ml": "ക്ഷമിക്കണം, ഇപ്പോൾ നിങ്ങളുടെ കോൾ എടുക്കാൻ കഴിയില്ല. ദയവായി കുറച്ചു കഴിഞ്ഞ് വീണ്ടും വിളിക്കുക.",
    "mr": "माफ करा, आत्ता आम्ही तुमचा कॉल घेऊ शकत नाही. कृपया थोड्या वेळाने पुन्हा कॉल करा.",
    "ms": "Maaf, kami tidak dapat menjawab panggilan anda sekarang. Sila hubungi "
    "semula kemudian.",
    "nb": "Beklager, vi kan ikke ta imot anropet ditt akkurat nå. Vennligst ring "
    "igjen senere.",
    "nl": "Sorry, we kunnen uw oproep nu niet aannemen. Belt u later alstublieft "
    "terug.",
    "pa": "ਮਾਫ਼ ਕਰਨਾ, ਅਸੀਂ ਇਸ ਵੇਲੇ ਤੁਹਾਡੀ ਕਾਲ ਨਹੀਂ ਲੈ ਸਕਦੇ। ਕਿਰਪਾ ਕਰਕੇ ਥੋੜ੍ਹੀ ਦੇਰ "
    "ਬਾਅਦ ਦੁਬਾਰਾ ਕਾਲ ਕਰੋ।",
    "pl": "Przepraszamy, nie możemy teraz odebrać telefonu. Prosimy zadzwonić później.",
    "pt": "Desculpe, não podemos atender agora. Por favor, ligue mais tarde.",
    "ro": "Ne pare rău, nu putem răspunde la apelul dumneavoastră acum. Vă rugăm să "
    "sunați mai târziu.",
    "ru": "Извините, сейчас мы не можем ответить. Пожалуйста, перезвоните позже.",
    "sk": "Ospravedlňujeme sa, váš hovor teraz nemôžeme prijať. Zavolajte prosím "
    "neskôr.",
    "sr": "Жао нам је, тренутно не можемо да одговоримо на ваш позив. Молимо вас, "
    "позовите касније.",
    "sv": "Tyvärr kan vi inte ta emot ditt samtal just nu. Ring gärna igen senare.",
    "ta": "மன்னிக்கவும், இப்போது உங்கள் அழைப்பை எடுக்க முடியவில்லை. தயவுசெய்து "
    "சிறிது நேரம் கழித்து மீண்டும் அழைக்கவும்.",
    "te": "క్షమించండి, ఇప్పుడు మీ కాల్ తీసుకోలేకపోతున్నాము. దయచేసి కొంత సమయం తర్వాత మళ్ళీ కాల్ చేయండి.",
    "th": "ขออภัย ขณะนี้เราไม่สามารถรับสายของคุณได้ กรุณาโทรใหม่อีกครั้งภายหลัง",
    "tl": "Paumanhin po, hindi namin masagot ang inyong tawag ngayon. Pakitawagan po "
    "kami muli mamaya.",
    "tr": "Üzgünüz, şu anda çağrınıza cevap veremiyoruz. Lütfen daha sonra tekrar "
    "arayın.",
    "uk": "Вибачте, зараз ми не можемо відповісти на ваш дзвінок. Будь ласка, "
    "зателефонуйте пізніше.",
    "ur": "معذرت، ہم اس وقت آپ کی کال نہیں لے سکتے۔ براہ کرم کچھ دیر بعد دوبارہ کال "
    "کریں۔",
    "vi": "Xin lỗi, hiện tại chúng tôi không thể nhận cuộc gọi của quý khách. Xin "
    "vui lòng gọi lại sau.",
    "zh": "抱歉，我们现在无法接听您的电话。请稍后再拨。",
}
# Where a country writes or says the sentence differently; by language and ISO 3166.
SORRY_IN = {
    "pt-PT": "Lamentamos, mas não podemos atender agora. Por favor, ligue mais tarde.",
    "zh-HK": "唔好意思，我哋而家未能接聽你嘅電話，請稍後再打嚟。",
    "zh-TW": "抱歉，我們現在無法接聽您的電話，請稍後再撥。",
}
# "Hello, you have reached {name}. How can I help you?"
GREETINGS = {
    "af": "Hallo, u praat met {name}. Hoe kan ek u help?",
    "am": "ሰላም፣ ወደ {name} ደውለዋል። ምን ልርዳዎ?",
    "ar": "مرحبًا، لقد اتصلتم بـ {name}. كيف يمكنني مساعدتكم؟",
    "bg": "Здравейте, свързахте се с {name}. С какво мога да ви помогна?",
    "bn": "নমস্কার, আপনি {name}-এ কল করেছেন। আমি আপনাকে কীভাবে সাহায্য করতে পারি?",
    "ca": "Bon dia, ha trucat a {name}. En què el puc ajudar?",
    "cs": "Dobrý den, dovolali jste se do {name}. Jak vám mohu pomoci?",
    "cy": "Helo, rydych wedi cyrraedd {name}. Sut alla i eich helpu?",
    "da": "Hej, du har ringet til {name}. Hvad kan jeg hjælpe med?",
    "de": "Guten Tag, hier ist {name}. Wie kann ich Ihnen helfen?",
    "el": "Γεια σας, καλέσατε {name}. Πώς μπορώ να σας βοηθήσω;",
    "en": "Hello, you have reached {name}. How can I help you?",
    "es": "Hola, ha llamado a {name}. ¿En qué puedo ayudarle?",
    "et": "Tere, siin {name}. Kuidas saan teid aidata?",
    "eu": "Kaixo, {name} da hau. Zertan lagundu diezazuket?",
    "fi": "Hei, täällä {name}. Kuinka voin auttaa?",
    "fr": "Bonjour, vous êtes bien chez {name}. Comment puis-je vous aider ?",
    "gl": "Ola, chamou a {name}. En que podo axudalo?",
    "gu": "નમસ્તે, તમે {name} પર કૉલ કર્યો છે. હું તમને કેવી રીતે મદદ કરી શકું?",
    "he": "שלום, הגעתם אל {name}. איך אפשר לעזור?",
    "hi": "नमस्ते, आपने {name} पर कॉल किया है। मैं आपकी क्या मदद कर सकती हूँ?",
    "hr": "Dobar dan, dobili ste {name}. Kako vam mogu pomoći?",
    "hu": "Jó napot kívánok, ez a {name}. Miben segíthetek?",
    "id": "Halo, Anda terhubung dengan {name}. Ada yang bisa saya bantu?",
    "is": "Halló, þú hefur náð sambandi við {name}. Hvernig get ég aðstoðað?",
    "it": "Buongiorno, ha chiamato {name}. Come posso aiutarla?",
    "ja": "お電話ありがとうございます。{name}でございます。ご用件をお伺いします。",
    "kn": "ನಮಸ್ಕಾರ, ನೀವು {name} ಗೆ ಕರೆ ಮಾಡಿದ್ದೀರಿ. ನಾನು ನಿಮಗೆ ಹೇಗೆ ಸಹಾಯ ಮಾಡಲಿ?",
    "ko": "안녕하세요, {name}입니다. 무엇을 도와드릴까요?",
    "lt": "Laba diena, paskambinote į {name}. Kuo galiu padėti?",
    "lv": "Labdien, jūs esat piezvanījuši uz {name}. Kā varu palīdzēt?",
    "ml": "നമസ്കാരം, നിങ്ങൾ {name}-ലേക്കാണ് വിളിച്ചത്. ഞാൻ എങ്ങനെ സഹായിക്കണം?",
    "mr": "नमस्कार, आपण {name} येथे कॉल केला आहे. मी आपली काय मदत करू?",
    "ms": "Helo, anda telah menghubungi {name}. Apa yang boleh saya bantu?",
    "nb": "Hei, du har kommet til {name}. Hva kan jeg hjelpe deg med?",
    "nl": "Goedendag, u spreekt met {name}. Waarmee kan ik u helpen?",
    "pa": "ਸਤ ਸ੍ਰੀ ਅਕਾਲ, ਤੁਸੀਂ {name} ਨੂੰ ਕਾਲ ਕੀਤੀ ਹੈ। ਮੈਂ ਤੁਹਾਡੀ ਕੀ ਮਦਦ ਕਰ ਸਕਦੀ ਹਾਂ?",
    "pl": "Dzień dobry, tu {name}. W czym mogę pomóc?",
    "pt": "Olá, você ligou para {name}. Como posso ajudar?",
    "ro": "Bună ziua, ați sunat la {name}. Cu ce vă pot ajuta?",
    "ru": "Здравствуйте, это {name}. Чем я могу вам помочь?",
    "sk": "Dobrý deň, dovolali ste sa do {name}. Ako vám môžem pomôcť?",
    "sl": "Pozdravljeni, poklicali ste {name}. Kako vam lahko pomagam?",
    "sr": "Добар дан, добили сте {name}. Како могу да вам помогнем?",
    "sv": "Hej, du har kommit till {name}. Vad kan jag hjälpa dig med?",
    "sw": "Habari, umepiga simu {name}. Naweza kukusaidiaje?",
    "ta": "வணக்கம், நீங்கள் {name}-ஐ அழைத்துள்ளீர்கள். நான் உங்களுக்கு எப்படி உதவலாம்?",
    "te": "నమస్కారం, మీరు {name}కి కాల్ చేశారు. నేను మీకు ఎలా సహాయం చేయగలను?",
    "th": "สวัสดี คุณโทรมาที่ {name} มีอะไรให้ช่วยไหม",
    "tl": "Magandang araw po, tumawag po kayo sa {name}. Ano po ang maitutulong ko?",
    "tr": "Merhaba, {name} ile görüşüyorsunuz. Size nasıl yardımcı olabilirim?",
    "uk": "Вітаю, ви зателефонували до {name}. Чим я можу вам допомогти?",
    "ur": "السلام علیکم، آپ نے {name} کو کال کی ہے۔ میں آپ کی کیا مدد کر سکتی ہوں؟",
    "vi": "Xin chào, quý khách đang gọi đến {name}. Tôi có thể giúp gì cho quý khách?",
    "zh": "您好，这里是{name}。请问有什么可以帮您？",
}
GREETINGS_IN = {
    "pt-PT": "Bom dia, ligou para {name}. Em que posso ajudar?",
    "zh-HK": "你好，呢度係{name}。有咩可以幫到你？",
    "zh-TW": "您好，這裡是{name}。請問有什麼可以為您服務？",
}
# Other two-letter codes, and the code by which the tables list that language.
ALIASES = {"no": "nb", "nn": "nb", "in": "id", "iw": "he", "sh": "sr", "bs": "hr"}


def in_language(
    table: dict[str, str], regional: dict[str, str], language: str, country: str
) -> str | None:
    """Return a sentence of a language as a country says it; None where there is none.

    `language` and `country` are ISO codes; `country` may be empty.
    """
    language = ALIASES.get(language, language)
    return regional.get(f"{language}-{country}") or table.get(language)


def sorry_in(language: str, country: str = "") -> str | None:
    """Return the fallback sentence of a language, if there is one."""
    return in_language(SORRY, SORRY_IN, language, country)


def greeting_in(language: str, country: str = "") -> str | None:
    """Return the greeting of a language, if there is one; {name} is the business."""
    return in_language(GREETINGS, GREETINGS_IN, language, country)
